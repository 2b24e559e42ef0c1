//! The sample inputs of `events/`.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder `events/` of the workspace.
pub fn events_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events")
}

/// A sample as bytes, by its path under `events/`.
pub fn sample_bytes(path: &str) -> Vec<u8> {
    let file = events_folder().join(path);
    fs::read(&file).unwrap_or_else(|error| panic!("sample {}: {error}", file.display()))
}

/// A sample as text, by its path under `events/`.
pub fn sample(path: &str) -> String {
    String::from_utf8(sample_bytes(path)).expect("samples are UTF-8")
}

/// The paths under `events/` of all samples below `folder`, sorted.
pub fn all_samples(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&events_folder(), Path::new(folder), &mut found);
    found.sort();
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(root.join(folder)).expect("the folder exists") {
        let name = folder.join(entry.expect("the folder can be read").file_name());
        if root.join(&name).is_dir() {
            collect(root, &name, found);
        } else {
            found.push(name.to_str().expect("sample names are UTF-8").to_owned());
        }
    }
}
