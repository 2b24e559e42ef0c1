//! The sample bodies in `events/`, and files like them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use domain::{IdentifierError, Provider, Topic};

use crate::repository::{RepositoryError, repository_root};

/// A body to send.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Where it was found.
    pub(crate) path: PathBuf,
    /// What it is about, where its folder says so.
    pub(crate) topic: Option<Topic>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// There is no such body.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// No sample has that name, and no file has that path.
    #[error(
        "there is no file and no {provider} sample `{name}`: events/README.md lists the samples"
    )]
    NotFound {
        /// Whose samples were looked through.
        provider: Provider,
        /// What was asked for.
        name: String,
    },
    /// Several samples have that name.
    #[error("`{name}` is a sample of several topics: name one with `--topic`, {}", topics.join(" or "))]
    Ambiguous {
        /// The name.
        name: String,
        /// The topics that have one.
        topics: Vec<String>,
    },
    /// A file or folder cannot be read.
    #[error("`{path}` cannot be read")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The folder's name cannot be a topic.
    #[error("the folder of `{path}` is no topic: name one with `--topic`")]
    FolderIsNoTopic {
        /// The sample.
        path: PathBuf,
        /// Why not.
        #[source]
        source: IdentifierError,
    },
    /// The samples belong to a repository, which was not found.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// The file of that path, else the provider's sample of that name; `topic` tells samples of the same name
/// apart.
pub(crate) fn find(
    provider: Provider,
    name: &Path,
    topic: Option<&Topic>,
) -> Result<Sample, SampleError> {
    if name.is_file() {
        return read(provider, name.to_owned());
    }
    let folder = repository_root()?.join("events").join(provider.as_str());
    let path = choose(provider, &folder, name, topic)?;
    read(provider, path)
}

fn choose(
    provider: Provider,
    folder: &Path,
    name: &Path,
    topic: Option<&Topic>,
) -> Result<PathBuf, SampleError> {
    let mut fitting = Vec::new();
    collect(folder, &mut |path| {
        let relative = path.strip_prefix(folder).unwrap_or(path);
        let names = [relative.to_owned(), relative.with_extension("")];
        if names.iter().any(|known| known.ends_with(name)) {
            fitting.push(path.to_owned());
        }
    })?;
    fitting.sort();
    if let Some(topic) = topic
        && fitting.len() > 1
    {
        fitting.retain(|path| folder_name(path) == Some(topic.as_str()));
    }
    match fitting.as_slice() {
        [path] => Ok(path.clone()),
        [] => Err(SampleError::NotFound {
            provider,
            name: name.display().to_string(),
        }),
        several => Err(SampleError::Ambiguous {
            name: name.display().to_string(),
            topics: several
                .iter()
                .filter_map(|path| folder_name(path))
                .map(str::to_owned)
                .collect(),
        }),
    }
}

fn collect(folder: &Path, found: &mut impl FnMut(&Path)) -> Result<(), SampleError> {
    let unreadable = |source| SampleError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else {
            found(&path);
        }
    }
    Ok(())
}

fn read(provider: Provider, path: PathBuf) -> Result<Sample, SampleError> {
    let body = match fs::read(&path) {
        Ok(body) => body,
        Err(source) => return Err(SampleError::Unreadable { path, source }),
    };
    // The folders below `events/armada` are topics; any other folder says nothing.
    let is_topic = provider == Provider::Armada
        && path.parent().and_then(folder_name) == Some(Provider::Armada.as_str());
    let topic = match folder_name(&path)
        .filter(|_| is_topic)
        .map(Topic::parse)
        .transpose()
    {
        Ok(topic) => topic,
        Err(source) => return Err(SampleError::FolderIsNoTopic { path, source }),
    };
    Ok(Sample { path, topic, body })
}

/// The name of the folder that holds `path`.
fn folder_name(path: &Path) -> Option<&str> {
    path.parent()?.file_name()?.to_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(
        provider: Provider,
        name: &str,
        topic: Option<&str>,
    ) -> Result<(String, Option<String>), String> {
        let topic = topic.map(|topic| Topic::parse(topic).unwrap());
        find(provider, Path::new(name), topic.as_ref())
            .map(|sample| {
                let file = sample
                    .path
                    .file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                (file, sample.topic.map(String::from))
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_sample_is_found_by_its_name_and_its_folder_is_the_topic() {
        for name in [
            "dispatched",
            "dispatched.json",
            "order.updated/dispatched",
            "order.updated/dispatched.json",
        ] {
            let expected = (
                "dispatched.json".to_owned(),
                Some("order.updated".to_owned()),
            );
            assert_eq!(found(Provider::Armada, name, None), Ok(expected), "{name}");
        }
        let expected = ("ORDER_PIKEDUP.json".to_owned(), None);
        assert_eq!(
            found(Provider::Shipday, "ORDER_PIKEDUP", None),
            Ok(expected)
        );
    }

    #[test]
    fn a_name_that_several_topics_have_needs_the_topic() {
        let error = found(Provider::Armada, "v2", None).unwrap_err();
        assert!(
            error.contains("--topic") && error.contains("delivery.accepted or delivery.canceled"),
            "{error}"
        );

        let (_, topic) = found(Provider::Armada, "v2", Some("delivery.failed")).unwrap();
        assert_eq!(topic.as_deref(), Some("delivery.failed"));
    }

    #[test]
    fn a_file_is_found_by_its_path() {
        let path = repository_root()
            .unwrap()
            .join("events/armada/order.updated/pending.json");
        let topic = found(Provider::Armada, path.to_str().unwrap(), None)
            .unwrap()
            .1;
        assert_eq!(topic.as_deref(), Some("order.updated"));

        let manifest = repository_root().unwrap().join("cli/Cargo.toml");
        assert_eq!(
            found(Provider::Armada, manifest.to_str().unwrap(), None)
                .unwrap()
                .1,
            None
        );
    }

    #[test]
    fn an_unknown_name_is_named() {
        let error = found(Provider::Shipday, "ORDER_TELEPORTED", None).unwrap_err();

        assert!(
            error.contains("no shipday sample `ORDER_TELEPORTED`"),
            "{error}"
        );
    }
}
