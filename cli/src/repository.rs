//! Where the repository is.

use std::io;
use std::path::{Path, PathBuf};

/// What stands at the repository's root and nowhere below it.
const MARK: &str = "template.yaml";

/// The repository was not found.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// Neither the current folder nor one above it holds `template.yaml`.
    #[error(
        "`{0}` is not inside the repository: run this from the folder that holds `{MARK}`, or below it"
    )]
    Outside(PathBuf),
    /// There is no current folder, for example because it was deleted.
    #[error("the current folder cannot be read")]
    NoCurrentFolder(#[source] io::Error),
}

/// The repository's root: the current folder, or the nearest one above it that holds `template.yaml`.
///
/// # Errors
/// When there is none.
pub fn repository_root() -> Result<PathBuf, RepositoryError> {
    let current = std::env::current_dir().map_err(RepositoryError::NoCurrentFolder)?;
    match current.ancestors().find(|folder| is_root(folder)) {
        Some(root) => Ok(root.to_owned()),
        None => Err(RepositoryError::Outside(current)),
    }
}

fn is_root(folder: &Path) -> bool {
    folder.join(MARK).is_file() && folder.join("Cargo.toml").is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_found_from_a_folder_below_it() {
        let root = repository_root().unwrap();

        assert!(root.join("cli/dev/requirements.txt").is_file());
    }
}
