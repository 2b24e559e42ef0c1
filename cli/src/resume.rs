//! The position of a scan, in a file, so that the same command can go on after it was broken off.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aws::Position;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The form of the file that is written today.
const VERSION: u32 = 1;

/// How far one segment has been read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reached {
    /// Not begun.
    Nothing,
    /// Up to and with this item.
    Item(Position),
    /// To its end.
    End,
}

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Contents {
    version: u32,
    /// The command and the table, in words: whoever finds the file knows what it is.
    work: String,
    segments: Vec<Reached>,
    /// What the part that was read came to, for work that ends in a sum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tally: Option<Value>,
}

/// How far a scan has come, and where that is kept, if anywhere.
#[derive(Debug)]
pub(crate) struct Positions {
    file: Option<PathBuf>,
    contents: Contents,
}

/// A resume file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResumeError {
    /// It cannot be read, written or deleted.
    #[error("the resume file `{path}` cannot be used")]
    File {
        /// Where it is.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is no resume file of this version.
    #[error(
        "`{0}` is no resume file of this hookctl: name another file, or delete it and begin anew"
    )]
    NotOurs(PathBuf),
    /// It belongs to another command, filter or table.
    #[error(
        "the resume file `{path}` is of `{theirs}`, and this is `{ours}`: name another file, or delete it and begin anew"
    )]
    OtherWork {
        /// Where it is.
        path: PathBuf,
        /// What it is of.
        theirs: String,
        /// What is to be done now.
        ours: String,
    },
    /// It was begun with another number of segments.
    #[error(
        "the resume file `{path}` was begun with --segments {theirs}: give the same number, or none"
    )]
    OtherSegments {
        /// Where it is.
        path: PathBuf,
        /// Its number.
        theirs: usize,
    },
}

impl Positions {
    /// The beginning, or where `file` says that the same work was broken off. The file is written at once, so
    /// that it is known to be writable before anything is done.
    pub(crate) fn open(
        file: Option<&Path>,
        work: &str,
        segments: Option<u16>,
    ) -> Result<Self, ResumeError> {
        let old = file.map(read).transpose()?.flatten();
        let contents = match (old, file) {
            (Some(old), Some(path)) => checked(old, path, work, segments)?,
            (_, _) => Contents {
                version: VERSION,
                work: work.to_owned(),
                segments: vec![Reached::Nothing; segments.unwrap_or(DEFAULT_SEGMENTS).into()],
                tally: None,
            },
        };
        let positions = Self {
            file: file.map(Path::to_owned),
            contents,
        };
        positions.save()?;
        Ok(positions)
    }

    /// How many segments there are.
    pub(crate) fn segments(&self) -> u16 {
        u16::try_from(self.contents.segments.len()).unwrap_or(u16::MAX)
    }

    /// How far a segment has been read.
    pub(crate) fn reached(&self, segment: u16) -> Reached {
        let reached = self.contents.segments.get(usize::from(segment));
        reached.cloned().unwrap_or(Reached::End)
    }

    /// Remembers how far a segment has been read; [`Positions::save`] keeps it.
    pub(crate) fn set(&mut self, segment: u16, reached: Reached) {
        if let Some(place) = self.contents.segments.get_mut(usize::from(segment)) {
            *place = reached;
        }
    }

    /// Whether everything has been read.
    pub(crate) fn is_complete(&self) -> bool {
        self.contents.segments.iter().all(|it| *it == Reached::End)
    }

    /// Whether this work was broken off before.
    pub(crate) fn is_resumed(&self) -> bool {
        self.contents
            .segments
            .iter()
            .any(|it| *it != Reached::Nothing)
    }

    /// What the part that was read before came to; `None` when nothing was.
    pub(crate) fn tally<T: DeserializeOwned>(&self) -> Result<Option<T>, ResumeError> {
        let (Some(path), Some(tally)) = (&self.file, &self.contents.tally) else {
            return Ok(None);
        };
        T::deserialize(tally)
            .map(Some)
            .map_err(|_| ResumeError::NotOurs(path.clone()))
    }

    /// Remembers what has been read came to; [`Positions::save`] keeps it, with the position.
    pub(crate) fn set_tally(&mut self, tally: &impl Serialize) -> Result<(), ResumeError> {
        if let Some(path) = &self.file {
            let tally =
                serde_json::to_value(tally).map_err(|error| file_error(path, error.into()))?;
            self.contents.tally = Some(tally);
        }
        Ok(())
    }

    /// Where the position is kept.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Writes the file, whole or not at all.
    pub(crate) fn save(&self) -> Result<(), ResumeError> {
        let Some(path) = &self.file else {
            return Ok(());
        };
        let mut unfinished = path.clone().into_os_string();
        unfinished.push(".new");
        let text = serde_json::to_string_pretty(&self.contents).map_err(io::Error::from);
        text.and_then(|text| fs::write(&unfinished, text))
            .and_then(|()| fs::rename(&unfinished, path))
            .map_err(|source| file_error(path, source))
    }

    /// Deletes the file: there is nothing to go on with.
    pub(crate) fn delete(&self) -> Result<(), ResumeError> {
        match &self.file {
            Some(path) => fs::remove_file(path).map_err(|source| file_error(path, source)),
            None => Ok(()),
        }
    }
}

/// Enough that the network is not what is waited for, few enough to leave the table to the pipeline.
const DEFAULT_SEGMENTS: u16 = 8;

fn read(path: &Path) -> Result<Option<Contents>, ResumeError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(file_error(path, source)),
    };
    let contents: Option<Contents> = serde_json::from_slice(&text).ok();
    contents
        .filter(|contents| contents.version == VERSION && !contents.segments.is_empty())
        .map(Some)
        .ok_or_else(|| ResumeError::NotOurs(path.to_owned()))
}

fn checked(
    old: Contents,
    path: &Path,
    work: &str,
    segments: Option<u16>,
) -> Result<Contents, ResumeError> {
    if old.work != work {
        return Err(ResumeError::OtherWork {
            path: path.to_owned(),
            theirs: old.work,
            ours: work.to_owned(),
        });
    }
    let theirs = old.segments.len();
    if segments.is_some_and(|ours| usize::from(ours) != theirs) {
        return Err(ResumeError::OtherSegments {
            path: path.to_owned(),
            theirs,
        });
    }
    Ok(old)
}

fn file_error(path: &Path, source: io::Error) -> ResumeError {
    ResumeError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file in a folder of its own, which is gone with the test.
    struct File(PathBuf);

    impl Drop for File {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(self.0.parent().unwrap());
        }
    }

    impl std::ops::Deref for File {
        type Target = Path;

        fn deref(&self) -> &Path {
            &self.0
        }
    }

    fn file(test: &str) -> File {
        let folder = std::env::temp_dir().join(format!("hookctl-{}-{test}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        File(folder.join("resume.json"))
    }

    fn item(key: &str) -> Reached {
        Reached::Item(serde_json::from_value(serde_json::json!({ "pk": key })).unwrap())
    }

    #[test]
    fn work_goes_on_where_it_was_broken_off() {
        let file = file("goes-on");
        let mut first = Positions::open(Some(&file), "webhook list on t", Some(3)).unwrap();
        assert!(!first.is_resumed());
        first.set(0, Reached::End);
        first.set(2, item("a#1"));
        first.save().unwrap();

        let mut second = Positions::open(Some(&file), "webhook list on t", None).unwrap();

        assert!(second.is_resumed() && !second.is_complete());
        let reached: Vec<_> = (0..second.segments()).map(|n| second.reached(n)).collect();
        assert_eq!(reached, [Reached::End, Reached::Nothing, item("a#1")]);
        second.set(1, Reached::End);
        second.set(2, Reached::End);
        assert!(second.is_complete());
        second.delete().unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn the_file_says_what_it_is() {
        let file = file("says");
        let mut positions = Positions::open(Some(&file), "webhook list on t", Some(2)).unwrap();
        positions.set(1, item("a#1"));
        positions.save().unwrap();

        expect_test::expect![[r#"
            {
              "version": 1,
              "work": "webhook list on t",
              "segments": [
                "nothing",
                {
                  "item": {
                    "pk": "a#1"
                  }
                }
              ]
            }"#]]
        .assert_eq(&fs::read_to_string(&*file).unwrap());
        positions.delete().unwrap();
    }

    #[test]
    fn the_file_of_other_work_is_refused_and_left_alone() {
        let file = file("refused");
        Positions::open(Some(&file), "webhook list on t", Some(3)).unwrap();
        let before = fs::read(&*file).unwrap();
        let refusal = |work, segments| {
            let error = Positions::open(Some(&file), work, segments).unwrap_err();
            let path = file.display().to_string();
            error.to_string().replace(&path, "FILE")
        };

        assert_eq!(
            refusal("webhook replay on t", None),
            "the resume file `FILE` is of `webhook list on t`, and this is `webhook replay on t`: \
             name another file, or delete it and begin anew"
        );
        assert_eq!(
            refusal("webhook list on t", Some(4)),
            "the resume file `FILE` was begun with --segments 3: give the same number, or none"
        );
        assert_eq!(fs::read(&*file).unwrap(), before);
        for (text, why) in [
            ("poison", "no JSON"),
            (
                r#"{"version":2,"work":"webhook list on t","segments":["nothing"]}"#,
                "another version",
            ),
            (
                r#"{"version":1,"work":"webhook list on t","segments":[]}"#,
                "nothing to read, yet not done",
            ),
        ] {
            fs::write(&*file, text).unwrap();
            let said = refusal("webhook list on t", None);
            assert!(
                said.starts_with("`FILE` is no resume file"),
                "{why}: {said}"
            );
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_stops_the_work_before_it_begins() {
        let file = file("nowhere");
        let nowhere = file.join("missing").join("resume.json");

        assert!(matches!(
            Positions::open(Some(&nowhere), "webhook list on t", None),
            Err(ResumeError::File { .. })
        ));
    }
}
