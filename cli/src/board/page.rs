//! The page: plain HTML, CSS and JavaScript, as they lie beside this file.

/// A file of the page.
pub(super) struct PageFile {
    pub(super) media_type: &'static str,
    pub(super) text: &'static str,
}

/// The file at this path.
pub(super) fn file(path: &str) -> Option<PageFile> {
    let (media_type, text) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("page.html")),
        "/page.css" => ("text/css; charset=utf-8", include_str!("page.css")),
        "/page.js" => ("text/javascript; charset=utf-8", include_str!("page.js")),
        _ => return None,
    };
    Some(PageFile { media_type, text })
}
