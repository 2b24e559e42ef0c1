// Shows what the board reads. Every text becomes a text node: what a provider put into it is never markup.

const at = (id) => document.getElementById(id);
const make = (tag, className, ...inside) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...inside.filter((it) => it !== null && it !== undefined));
  return node;
};
const words = (status) => status.replaceAll("_", " ");

let content = null;
let contentAt = null; // when it was right last
let reading = null;
let opened = null; // { kind: "order" or "webhook", key, seen }
let returnTo = null; // what had the focus before the panel opened

// ---------------------------------------------------------------- times

const clock = (moment) => {
  const today = new Date().toISOString().slice(0, 10);
  return moment.startsWith(today) ? moment.slice(11, 19) : moment.slice(5, 16).replace("T", " ");
};
const when = (moment) => {
  const node = make("time", "", clock(moment));
  node.dateTime = node.title = moment;
  return node;
};
const age = (moment) => {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(moment)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
};
const showAges = () => {
  for (const node of document.querySelectorAll(".age")) node.textContent = age(node.dateTime);
};
setInterval(showAges, 5000);

// ---------------------------------------------------------------- keeping what is on the page

// Puts a node for each of `items` into `parent`, and leaves alone those whose item is as before.
function fill(parent, items, keyOf, draw) {
  const before = parent.drawn ?? new Map();
  const drawn = new Map();
  let next = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    const form = JSON.stringify(item);
    const known = before.get(key);
    const node = known?.form === form ? known.node : draw(item);
    if (known && known.node !== node) {
      if (next === known.node) next = next.nextSibling;
      known.node.remove();
    }
    before.delete(key);
    drawn.set(key, { form, node });
    if (node === next) next = node.nextSibling;
    else parent.insertBefore(node, next);
  }
  for (const { node } of before.values()) node.remove();
  parent.drawn = drawn;
}

// Somebody who works with the keyboard stays where they are, also when an order moves.
function keepingFocus(change) {
  const focused = document.activeElement?.dataset?.item;
  change();
  if (focused && document.activeElement?.dataset?.item !== focused) {
    const again = [...document.querySelectorAll("[data-item]")].find((it) => it.dataset.item === focused);
    again?.focus({ preventScroll: true });
  }
}

const say = (text) => { at("said").textContent = text; };

// ---------------------------------------------------------------- commands

function command(remedy) {
  const code = make("code", "", remedy.command);
  const button = make("button", "", "copy");
  button.type = "button";
  button.dataset.item = `copy ${remedy.command}`;
  button.setAttribute("aria-label", `copy the command: ${remedy.what_for}`);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(remedy.command);
      button.textContent = "copied";
      say("copied");
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    } catch {
      getSelection().selectAllChildren(code);
      say("the command is selected");
    }
  });
  return make("div", "command", make("span", "", remedy.what_for), code, button);
}

// ---------------------------------------------------------------- what waits

const wanted = (item) => {
  const filter = at("filter").value.trim().toLowerCase();
  return filter === "" || JSON.stringify(Object.values(item)).toLowerCase().includes(filter);
};

function drawWaiting() {
  const dead = { name: "dead_letters", count: content.dead_letters.count, needs_a_person: true, webhooks: [],
    meaning: "messages that could not be applied. Only their number is read: looking takes them out of the queue for a moment",
    remedies: content.dead_letters.remedies };
  const groups = [...content.groups.slice(0, -1), dead, ...content.groups.slice(-1)];
  for (const group of groups) {
    const id = `waiting-${group.name}`;
    let details = at(id);
    if (!details) {
      details = make("details", "", make("summary", "", words(group.name), make("b", "")), make("div"));
      details.id = id;
      details.firstChild.dataset.item = id;
      at("open").append(details);
    }
    details.classList.toggle("calls", group.needs_a_person && group.count > 0);
    details.querySelector("b").textContent = group.count;
    const shown = group.webhooks.filter(wanted);
    fill(details.lastChild, [{ ...group, webhooks: shown }], () => "", () => {
      const list = make("ol", "open-list", ...shown.map((it) => make("li", "", webhookRow(it))));
      const rest = group.count - group.webhooks.length;
      const remedies = group.count > 0 ? group.remedies.map(command) : [];
      return make("div", "", make("p", "", group.meaning), ...remedies, shown.length ? list : null,
        rest > 0 && group.webhooks.length ? make("p", "none", `and ${rest} more`) : null);
    });
  }
}

// ---------------------------------------------------------------- orders

const hue = (status) => {
  if (status === "delivered") return "good";
  if (["failed", "canceled", "returned"].includes(status)) return "bad";
  return status ? "way" : "";
};
const setAside = (order) => content.groups.filter((it) => it.needs_a_person)
  .flatMap((it) => it.webhooks.map((webhook) => ({ ...webhook, group: it.name, meaning: it.meaning })))
  .filter((it) => it.order === order);

function drawOrders(moved) {
  const columns = [...content.statuses, null].map((status) => {
    const orders = content.orders.filter((it) => it.status === status);
    const shown = orders.filter(wanted).map((it) => ({ ...it, badges: setAside(it.key).map((row) => row.group) }));
    return { status, shown };
  }).filter((it) => it.shown.length > 0);
  const board = at("orders");
  fill(board, columns.map((it) => it.status ?? "none yet"), (it) => it, (name) => {
    const status = name === "none yet" ? null : name;
    return make("section", `status ${hue(status)}`, make("h3", "", words(name), make("b", "")), make("ol"));
  });
  for (const { status, shown } of columns) {
    const column = board.drawn.get(status ?? "none yet").node;
    column.querySelector("b").textContent = shown.length;
    fill(column.lastChild, shown, (it) => it.key, (it) => make("li", "", card(it, moved.has(it.key))));
  }
  const none = content.orders.length ? "nothing matches the filter" : `no order in the last ${content.hours} h`;
  at("orders-note").textContent = columns.length === 0 ? none
    : content.orders_left_out > 0 ? `the newest ${content.orders.length}, ${content.orders_left_out} older ones are not shown` : "";
}

function card(order, isMoved) {
  const button = make("button", `item${isMoved ? " moved" : ""}`);
  button.type = "button";
  button.dataset.item = `order ${order.key}`;
  if (order.since) {
    const since = make("time", "age", age(order.since));
    since.dateTime = since.title = order.since;
    button.append(since);
  }
  button.append(make("span", "id", order.order_id), make("small", "", `${order.merchant_id} · ${order.provider}`));
  const more = [order.number && `no. ${order.number}`, order.driver, order.reason && words(order.reason),
    order.is_saved ? null : "nothing applied yet"].filter(Boolean);
  if (more.length) button.append(make("small", "", more.join(" · ")));
  for (const badge of order.badges) button.append(make("span", "badge", badge), " ");
  button.addEventListener("click", () => open("order", order.key));
  return button;
}

// ---------------------------------------------------------------- webhooks

function webhookRow(it) {
  const state = it.state ?? "damaged";
  const button = make("button", "item row", it.received_at ? when(it.received_at) : make("span", "", "-"),
    make("span", `state ${state}`, state), make("span", "order", it.order ?? it.merchant_id ?? ""), make("span", "key", it.key));
  if (it.why) button.append(make("span", "why", it.why));
  button.type = "button";
  button.dataset.item = `webhook ${it.key}`;
  button.addEventListener("click", () => open("webhook", it.key));
  return button;
}

function drawWebhooks() {
  const shown = content.webhooks.filter(wanted);
  fill(at("webhooks"), shown, (it) => it.key, (it) => make("li", "", webhookRow(it)));
  const none = content.webhooks.length ? "nothing matches the filter" : `none in the last ${content.hours} h`;
  at("webhooks-note").textContent = shown.length === 0 ? none
    : content.webhooks_left_out > 0 ? `the newest ${content.webhooks.length} of ${content.webhooks.length + content.webhooks_left_out}` : "";
}

// ---------------------------------------------------------------- the panel

// What the page knows of it: when that changes, the panel is read again.
const knownOf = ({ kind, key }) => JSON.stringify(kind === "order"
  ? [content?.orders.find((it) => it.key === key), content?.webhooks.filter((it) => it.order === key)]
  : content?.webhooks.find((it) => it.key === key));

function open(kind, key) {
  if (!opened) returnTo = document.activeElement?.dataset?.item;
  history.replaceState(null, "", `#${kind}=${encodeURIComponent(key)}`);
  opened = { kind, key };
  at("panel-title").textContent = kind === "order" ? `Order ${key}` : `Webhook ${key}`;
  at("panel-body").replaceChildren(make("p", "none", "reading"));
  at("panel").hidden = false;
  at("panel").focus();
  readOpened();
}

function close() {
  opened = null;
  history.replaceState(null, "", location.pathname);
  at("panel").hidden = true;
  [...document.querySelectorAll("[data-item]")].find((it) => it.dataset.item === returnTo)?.focus();
}

async function readOpened() {
  const asked = opened;
  asked.seen = knownOf(asked);
  let inside;
  try {
    const answer = await fetch(`${asked.kind}?key=${encodeURIComponent(asked.key)}`);
    if (answer.ok) inside = (asked.kind === "order" ? orderInside : webhookInside)(await answer.json());
    else inside = [make("p", "warning", await answer.text()), ...asideInside(asked)];
  } catch {
    inside = [make("p", "warning", "hookctl does not answer")];
  }
  if (opened === asked) keepingFocus(() => at("panel-body").replaceChildren(...inside));
}

const title = (text) => make("h3", "", text);
const facts = (rows) => make("dl", "facts", ...rows.flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]));

function linkTo(kind, key, text) {
  const button = make("button", "link", text);
  button.type = "button";
  button.addEventListener("click", () => open(kind, key));
  return button;
}

// What of an order is set aside: why, and the command that deals with it.
function asideInside({ kind, key }) {
  const rows = kind === "order" ? setAside(key) : [];
  return rows.length === 0 ? [] : [title("Set aside"), ...rows.map((it) => make("div", "set-aside",
    make("div", "", make("span", `state ${it.group}`, it.group), " ", it.received_at ? when(it.received_at) : ""),
    it.why ? make("div", "why", it.why) : null, make("div", "none", it.meaning), linkTo("webhook", it.key, it.key), ...it.remedies.map(command)))];
}

function orderInside(order) {
  const entries = order.timeline.map((it) => {
    const said = [it.provider_event, it.provider_status].filter(Boolean).join(" ") || "(no words)";
    const link = linkTo("webhook", it.webhook_pk, said);
    link.title = `received ${it.received_at}`;
    return make("li", it.changed_status ? "changed" : "", make("span", "dot"), when(it.occurred_at),
      make("span", "said", link), make("span", "decision", it.decision));
  });
  return [
    order.warning ? make("p", "warning", order.warning) : null,
    ...asideInside({ kind: "order", key: `${order.merchant_id}#${order.provider}#${order.order_id}` }),
    facts(order.facts),
    title(`Timeline: what ${order.provider} said, and what became of it`), make("ol", "timeline", ...entries),
    title("Commands"), ...order.remedies.map(command),
  ].filter(Boolean);
}

function webhookInside(it) {
  return [
    facts(it.facts),
    it.webhook.order ? make("p", "", linkTo("order", it.webhook.order, `order ${it.webhook.order}`)) : null,
    it.body === undefined ? null : title("Body"), it.body === undefined ? null : make("pre", "", it.body),
    title("Commands"), ...it.remedies.map(command),
  ].filter(Boolean);
}

// ---------------------------------------------------------------- what changes

function draw(moved = new Set()) {
  if (!content) return;
  keepingFocus(() => { drawWaiting(); drawOrders(moved); drawWebhooks(); });
}

function take(fresh) {
  const before = content;
  content = fresh;
  const scope = content.merchant ? `${content.stack} · ${content.merchant}` : content.stack;
  at("stack").textContent = scope;
  document.title = `${scope} · Board`;
  const known = new Map((before?.orders ?? []).map((it) => [it.key, it]));
  const changed = before ? content.orders.filter((it) => known.get(it.key)?.status !== it.status) : [];
  draw(new Set(changed.map((it) => it.key)));
  const news = changed.slice(0, 3).map((it) => `order ${it.order_id}: ${words(it.status ?? "no status yet")}`);
  for (const group of before ? content.groups : []) {
    const more = group.count - before.groups.find((it) => it.name === group.name).count;
    if (group.needs_a_person && more > 0) news.push(`${more} more ${group.name}`);
  }
  if (changed.length > 3) news.push(`and ${changed.length - 3} more orders`);
  if (news.length) say(news.join(", "));
  if (opened && opened.seen !== knownOf(opened)) readOpened();
}

function showReading(isConnected) {
  const trouble = at("trouble");
  const lost = !isConnected || reading?.trouble;
  at("reading").className = lost ? "lost" : reading ? "live" : "";
  let text = "reading";
  if (!isConnected) text = "lost";
  else if (reading) {
    const units = `${reading.read_units.toLocaleString("en")} read units`;
    const next = reading.next_in_seconds > 5 ? `, next in ${reading.next_in_seconds} s` : "";
    text = reading.trouble ? "lost" : `live · ${clock(reading.at)} UTC · ${units}${next}`;
    at("reading").title = `${reading.read_units_in_all.toLocaleString("en")} read units since it was started`;
  }
  if (at("reading-text").textContent !== text) at("reading-text").textContent = text;
  if (isConnected && reading && !reading.trouble) contentAt = reading.at;
  document.body.classList.toggle("stale", Boolean(lost));
  const why = !isConnected ? "hookctl does not answer: is it still running?"
    : reading?.trouble ? `The stack cannot be read: ${reading.trouble}.` : "";
  const stale = contentAt ? ` What is shown was read at ${clock(contentAt)} UTC.` : "";
  const said = why && `${why}${stale} Trying again.`;
  if (trouble.textContent !== said) trouble.textContent = said;
  trouble.hidden = why === "";
}

let changes = null;
function connect() {
  changes = new EventSource("changes");
  changes.addEventListener("content", (event) => take(JSON.parse(event.data)));
  changes.addEventListener("reading", (event) => { reading = JSON.parse(event.data); showReading(true); });
  changes.addEventListener("open", () => showReading(true));
  changes.addEventListener("error", () => {
    showReading(false);
    // A browser gives up for good when the answer is not an event stream.
    if (changes.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  });
}
// Nothing is read, and paid, for a page that nobody sees.
document.addEventListener("visibilitychange", () => {
  changes?.close();
  if (!document.hidden) connect();
});

// ---------------------------------------------------------------- keys

const items = () => [...document.querySelectorAll("summary, .item")].filter((it) => it.checkVisibility());
function move(step) {
  const all = items();
  const here = all.indexOf(document.activeElement);
  const first = all.find((it) => it.matches("#orders .item")) ?? all[0];
  const next = here < 0 ? first : all[Math.min(all.length - 1, Math.max(0, here + step))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || at("help").open) return;
  const isTyping = event.target === at("filter");
  const isOnItem = event.target.matches?.("summary, .item");
  if (event.key === "Escape") {
    if (isTyping && at("filter").value) { at("filter").value = ""; draw(); }
    else if (opened) close();
    else if (isTyping) at("filter").blur();
    return;
  }
  if (isTyping) {
    if (event.key === "Enter" || event.key === "ArrowDown") { event.preventDefault(); at("filter").blur(); move(1); }
    return;
  }
  const step = { j: 1, k: -1, ...(isOnItem ? { ArrowDown: 1, ArrowUp: -1 } : {}) }[event.key];
  if (step) { event.preventDefault(); move(step); }
  if (event.key === "/") { event.preventDefault(); at("filter").focus(); }
  if (event.key === "?") { event.preventDefault(); at("help").showModal(); }
});
at("filter").addEventListener("input", () => draw());
at("help-button").addEventListener("click", () => at("help").showModal());
at("close").addEventListener("click", close);

const [, kind, key] = /^#(order|webhook)=(.+)$/.exec(location.hash) ?? [];
if (kind) open(kind, decodeURIComponent(key));
if (!document.hidden) connect();
