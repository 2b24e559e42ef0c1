//! Reading a whole table: its segments side by side, item by item, from where it was broken off.

use std::cell::{Cell, RefCell};

use aws::{Page, Part, Segment};
use domain::PortError;
use futures_util::future::try_join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::arguments::{Reading, WholeReading};
use crate::progress::Progress;
use crate::resume::{Positions, Reached, ResumeError};

/// A scan ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    /// The resume file cannot be used.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// Nothing would be told when somebody pressed Ctrl-C.
    #[error("Ctrl-C cannot be watched for")]
    Signal(#[source] std::io::Error),
    /// The table did not answer.
    #[error(transparent)]
    Table(#[from] PortError),
}

/// How a scan ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything has been read.
    Complete,
    /// `--limit` was reached before.
    AtLimit,
}

/// A scan that can go on where it was broken off.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    progress: &'a Progress,
    positions: RefCell<Positions>,
    /// How many items may still be handled.
    left: Cell<u64>,
}

impl<'a> Scan<'a> {
    /// A scan for the work in these words. A resume file of other work is refused.
    pub(crate) fn open(
        options: &Reading,
        work: &str,
        progress: &'a Progress,
    ) -> Result<Self, ResumeError> {
        let WholeReading { segments, resume } = &options.whole;
        let segments = segments.map(std::num::NonZero::get);
        let positions = Positions::open(resume.as_deref(), work, segments)?;
        if let Some(file) = positions.file().filter(|_| positions.is_resumed()) {
            progress.message(format_args!("going on from `{}`", file.display()));
        }
        Ok(Self {
            progress,
            positions: RefCell::new(positions),
            left: Cell::new(options.limit.map_or(u64::MAX, std::num::NonZero::get)),
        })
    }

    /// What the part that was read before came to; `None` when nothing was.
    pub(crate) fn tally<T: DeserializeOwned>(&self) -> Result<Option<T>, ResumeError> {
        self.positions.borrow().tally()
    }

    /// Keeps what has been read came to. To be in step with the position, it is said last in the handling of an item.
    pub(crate) fn keep(&self, tally: &impl Serialize) -> Result<(), ResumeError> {
        self.positions.borrow_mut().set_tally(tally)
    }

    /// Hands every item that `pages` finds to `handle`. However it ends, the position is kept; an item whose handling
    /// was broken off is met again.
    pub(crate) async fn run<T, E: From<ScanError>>(
        &self,
        pages: impl AsyncFn(Part<'_>) -> Result<Page<T>, PortError>,
        handle: impl AsyncFn(T) -> Result<(), E>,
    ) -> Result<End, E> {
        let numbers = 0..self.positions.borrow().segments();
        let segments = numbers.map(|number| self.segment(number, &pages, &handle));
        let result = tokio::select! {
            result = try_join_all(segments) => result.map(|_| ()),
            signal = tokio::signal::ctrl_c() => Err(match signal {
                Ok(()) => ScanError::Interrupted,
                Err(error) => ScanError::Signal(error),
            }.into()),
        };
        self.progress.end();
        let positions = self.positions.borrow();
        if result.is_ok() && positions.is_complete() {
            positions.delete().map_err(ScanError::Resume)?;
            return Ok(End::Complete);
        }
        if let Some(file) = positions.file() {
            positions.save().map_err(ScanError::Resume)?;
            self.progress.message(format_args!(
                "the position is in `{}`: the same command goes on from there",
                file.display()
            ));
        }
        result.map(|()| End::AtLimit)
    }

    async fn segment<T, E: From<ScanError>>(
        &self,
        number: u16,
        pages: &impl AsyncFn(Part<'_>) -> Result<Page<T>, PortError>,
        handle: &impl AsyncFn(T) -> Result<(), E>,
    ) -> Result<(), E> {
        let of = self.positions.borrow().segments();
        loop {
            let reached = self.positions.borrow().reached(number);
            let after = match &reached {
                Reached::Nothing => None,
                Reached::Item(position) => Some(position),
                Reached::End => return Ok(()),
            };
            if self.left.get() == 0 {
                return Ok(());
            }
            let part = Part {
                segment: Segment { number, of },
                after,
                most: None,
            };
            let page = pages(part).await.map_err(ScanError::Table)?;
            for (position, item) in page.items {
                let Some(left) = self.left.get().checked_sub(1) else {
                    return Ok(());
                };
                self.left.set(left);
                handle(item).await?;
                self.set(number, Reached::Item(position));
            }
            self.set(number, page.next.map_or(Reached::End, Reached::Item));
            self.progress.advance(page.looked_at);
            self.positions.borrow().save().map_err(ScanError::Resume)?;
        }
    }

    fn set(&self, segment: u16, reached: Reached) {
        self.positions.borrow_mut().set(segment, reached);
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU16, NonZeroU64};
    use std::path::PathBuf;

    use aws::Position;

    use super::*;
    use crate::output::Output;

    const SEGMENTS: u16 = 3;
    const ITEMS: u16 = 40;
    const PAGE: usize = 4;

    fn position(item: u16) -> Position {
        serde_json::from_value(serde_json::json!({ "pk": item.to_string() })).unwrap()
    }

    /// A table of numbers in pages of four; only the even ones are asked for.
    fn page(part: Part<'_>) -> Page<u16> {
        let Segment { number, of } = part.segment;
        let behind = |item: &u16| match part.after {
            None => true,
            Some(after) => (0..*item).any(|before| position(before) == *after),
        };
        let mine = (0..ITEMS).filter(|item| item % of == number);
        let read: Vec<u16> = mine.filter(behind).take(PAGE).collect();
        Page {
            looked_at: read.len().try_into().unwrap(),
            read_units: 0.5,
            next: (read.len() == PAGE).then(|| position(read[PAGE - 1])),
            items: read
                .into_iter()
                .filter(|item| item % 2 == 0)
                .map(|item| (position(item), item))
                .collect(),
        }
    }

    fn even() -> Vec<u16> {
        (0..ITEMS).filter(|item| item % 2 == 0).collect()
    }

    fn reading(test: &str, limit: Option<u64>) -> Reading {
        let file = format!("hookctl-{}-{test}.json", std::process::id());
        Reading {
            whole: WholeReading {
                segments: NonZeroU16::new(SEGMENTS),
                resume: Some(std::env::temp_dir().join(file)),
            },
            limit: limit.and_then(NonZeroU64::new),
        }
    }

    /// Reads on; `broken` is the item at which handling fails.
    async fn read(reading: &Reading, broken: Option<u16>) -> (Result<End, ScanError>, Vec<u16>) {
        let progress = Progress::none(Output::discarded());
        let scan = Scan::open(reading, "test", &progress).unwrap();
        let met = RefCell::new(Vec::new());
        let end = scan
            .run(
                async |part| Ok(page(part)),
                async |item| {
                    if Some(item) == broken {
                        return Err(ScanError::Interrupted);
                    }
                    met.borrow_mut().push(item);
                    Ok(())
                },
            )
            .await;
        let mut met = met.into_inner();
        met.sort_unstable();
        (end, met)
    }

    fn file(reading: &Reading) -> PathBuf {
        reading.whole.resume.clone().unwrap()
    }

    #[tokio::test]
    async fn everything_is_met_once_and_the_file_is_gone() {
        let reading = reading("once", None);

        let (end, met) = read(&reading, None).await;

        assert_eq!((end.unwrap(), met), (End::Complete, even()));
        assert!(!file(&reading).exists());
    }

    #[tokio::test]
    async fn a_run_that_breaks_off_is_gone_on_with_and_nothing_is_left_out() {
        for broken in [0, 14, 38] {
            let reading = reading(&format!("broken-{broken}"), None);

            let (end, mut met) = read(&reading, Some(broken)).await;
            assert!(end.is_err() && !met.contains(&broken));
            let (end, rest) = read(&reading, None).await;

            assert_eq!(end.unwrap(), End::Complete);
            assert!(rest.contains(&broken));
            met.extend(rest);
            met.sort_unstable();
            assert_eq!(met, even(), "broken off at {broken}: each is met once");
            assert!(!file(&reading).exists());
        }
    }

    #[tokio::test]
    async fn a_limit_is_kept_exactly_and_what_follows_goes_on_behind_it() {
        let reading = reading("limit", Some(7));
        let mut met = Vec::new();
        for expected in [7, 7, 6] {
            let (end, some) = read(&reading, None).await;
            assert_eq!(some.len(), expected);
            let expected_end = if expected == 7 {
                End::AtLimit
            } else {
                End::Complete
            };
            assert_eq!(end.unwrap(), expected_end);
            met.extend(some);
        }
        met.sort_unstable();

        assert_eq!(met, even());
        assert!(!file(&reading).exists());
    }

    #[tokio::test]
    async fn a_reached_limit_reads_and_pays_no_further_page() {
        let progress = Progress::none(Output::discarded());
        let one = Reading {
            whole: WholeReading {
                segments: NonZeroU16::new(SEGMENTS),
                resume: None,
            },
            limit: NonZeroU64::new(1),
        };
        let scan = Scan::open(&one, "test", &progress).unwrap();
        let pages = Cell::new(0);

        let end = scan
            .run(
                async |part| {
                    pages.set(pages.get() + 1);
                    Ok(page(part))
                },
                async |_| Ok::<_, ScanError>(()),
            )
            .await;

        assert_eq!((end.unwrap(), pages.get()), (End::AtLimit, 1));
    }

    #[tokio::test]
    async fn a_sum_goes_on_where_it_was_broken_off_and_counts_nothing_twice() {
        let reading = reading("sum", None);
        let sum = async |broken: Option<u16>| {
            let progress = Progress::none(Output::discarded());
            let scan = Scan::open(&reading, "test", &progress).unwrap();
            let sum = Cell::new(scan.tally::<u32>().unwrap().unwrap_or_default());
            let end = scan
                .run(
                    async |part| Ok(page(part)),
                    async |item| {
                        if Some(item) == broken {
                            return Err(ScanError::Interrupted);
                        }
                        sum.set(sum.get() + u32::from(item));
                        Ok(scan.keep(&sum.get())?)
                    },
                )
                .await;
            (end.is_ok(), sum.get())
        };
        let all = even().into_iter().map(u32::from).sum();

        let (complete, some) = sum(Some(14)).await;
        assert!(!complete && some < all);
        assert_eq!(sum(None).await, (true, all));
    }

    #[tokio::test]
    async fn a_table_that_does_not_answer_ends_the_run_and_keeps_the_position() {
        let reading = reading("no-answer", None);
        let progress = Progress::none(Output::discarded());
        let scan = Scan::open(&reading, "test", &progress).unwrap();
        let no_answer = || PortError {
            call: "scan",
            source: "a fault of this test".into(),
        };

        let end = scan
            .run(
                async |part: Part<'_>| match part.after {
                    None => Ok(page(part)),
                    Some(_) => Err(no_answer()),
                },
                async |_| Ok::<_, ScanError>(()),
            )
            .await;

        assert!(matches!(end, Err(ScanError::Table(_))));
        assert!(file(&reading).exists());
        let (end, rest) = read(&reading, None).await;
        assert_eq!(end.unwrap(), End::Complete);
        assert!(
            rest.len() < even().len(),
            "the first pages are not read again"
        );
    }
}
