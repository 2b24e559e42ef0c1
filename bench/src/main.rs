//! Measures the project's functions and their peers.

mod certificates;
mod contestants;
mod environment;
mod instructions;
mod measure;
mod quota;
mod runtime_api;
mod samples;
mod services;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::certificates::Certificates;
use crate::environment::{Launch, Surroundings};
use crate::measure::{Effort, Events, percentile, round};
use crate::samples::Samples;
use crate::services::Services;

fn main() -> Result<()> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let certificates = Certificates::make(&repository.join(".dev/bench/certificates"), &repository.join("x.pem"))?;
    let services = Services::start(&certificates.acceptor, Duration::from_millis(3))?;
    let around = Surroundings { services, certificates };
    let samples = Samples::read(&repository)?;
    let mut events = Events::new(&samples);
    let effort = Effort { rounds: 7, discarded: 100, counted: 300, pause_ms: 0 };
    let quota: Option<f64> = std::env::var("Q").ok().map(|q| quota::share(q.parse().unwrap()));
    let effort = if quota.is_some() { Effort { rounds: 15, discarded: 5, counted: 20, pause_ms: 20 } } else { effort };
    let mut all = Vec::new();
    for arg in std::env::args().skip(1) {
        let mut parts = arg.split(',');
        let name: &'static str = Box::leak(parts.next().unwrap().to_owned().into_boxed_str());
        let mut c = contestants::native(name, contestants::Role::ArmadaWebhook, Path::new(parts.next().unwrap()), vec![])?;
        for v in parts { let (a, b) = v.split_once('=').unwrap(); c.variables.push((a.to_owned(), b.to_owned())); }
        all.push((c, Vec::new()));
    }
    if std::env::var("CG").is_ok() {
        for (c, _) in &all { println!("{:20} {:?}", c.name, instructions::count(c, &around, &mut events, Path::new("/tmp"))?); }
        return Ok(());
    }
    let launch = Launch { quota, ..Launch::default() };
    for _ in 0..effort.rounds { for (c, rounds) in &mut all { rounds.push(round(c, &around, &mut events, effort, &launch)?); } }
    for (contestant, rounds) in &all {
        let m = |f: fn(&measure::Round) -> f64| percentile(&mut rounds.iter().map(f).collect::<Vec<_>>(), 0.5);
        println!("{:20} firstinv {:.2} poll {:.2} first {:.2} cold cpu {:.2} p50 {:.2} p99 {:.2} cpu {:.3} wait {:.3} rss {:.1}", contestant.name, m(|r| r.first_invocation), m(|r| r.first_poll), m(|r| r.first_response), m(|r| r.cold_cpu), m(|r| r.warm_p50), m(|r| r.warm_p99), m(|r| r.warm_cpu), m(|r| r.call_wait), m(|r| r.peak_rss_mib));
    }
    Ok(())
}
