//! The `hookctl` binary: everything is in the library, where the end-to-end tests use it too.

fn main() -> std::process::ExitCode {
    hookctl::run()
}
