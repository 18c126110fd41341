//! The dashboard's page: one answer that holds everything, and may do nothing but what it is for.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::answer::{Answer, Status};

const HTML: &str = include_str!("../dashboard/index.html");
const STYLE: &str = include_str!("../dashboard/style.css");
/// In the order in which they need each other.
const SCRIPT: &str = concat!(
    include_str!("../dashboard/text.js"),
    include_str!("../dashboard/chart.js"),
    include_str!("../dashboard/view.js"),
    include_str!("../dashboard/main.js"),
);

/// Where the others go into the page.
const STYLE_HERE: &str = "/* style.css */";
const SCRIPT_HERE: &str = "/* script */";

/// The page and its headers.
struct Page {
    html: String,
    headers: String,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| Page {
    html: HTML.replace(STYLE_HERE, STYLE).replace(SCRIPT_HERE, SCRIPT),
    headers: headers(),
});

/// The page asks its own server for data, and runs and shows what stands in it: a tenant's name
/// that got into the page as a tag would still be able to do nothing.
fn headers() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "Content-Security-Policy: default-src 'none'; script-src 'sha256-{}'; \
         style-src 'sha256-{}'; img-src data:; connect-src 'self'; frame-ancestors 'none'; \
         base-uri 'none'; form-action 'none'\r\nReferrer-Policy: no-referrer\r\n",
        hash(SCRIPT),
        hash(STYLE)
    )
}

/// The page.
pub(super) fn answer() -> Answer {
    let page = &*PAGE;
    Answer::new(Status::Ok, "text/html; charset=utf-8", page.html.as_bytes())
        .with_headers(page.headers.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands between two marks, each of which comes once.
    fn between<'a>(text: &'a str, open: &str, close: &str) -> &'a str {
        let (before, rest) = text.split_once(open).expect("the open mark");
        let (inside, after) = rest.split_once(close).expect("the close mark");
        assert!(!before.contains(close) && !after.contains(open) && !after.contains(close));
        inside
    }

    #[test]
    fn the_page_runs_its_own_script_and_no_other() {
        let page = &*PAGE;
        // The hashes are of exactly what the tags hold.
        assert_eq!(between(&page.html, "<script>", "</script>"), SCRIPT);
        assert_eq!(between(&page.html, "<style>", "</style>"), STYLE);
        assert!(!page.html.contains(" style=") && !page.html.contains(" onclick="));
        assert_eq!(page.headers.lines().count(), 2);
        assert!(
            page.headers
                .starts_with("Content-Security-Policy: default-src 'none'; script-src 'sha256-")
        );
    }

    #[test]
    fn the_page_is_small_and_needs_nobody() {
        let page = &*PAGE;
        assert!(page.html.len() < 60_000, "{}", page.html.len());
        // The name of SVG's elements is no address.
        let html = page.html.replace("http://www.w3.org/2000/svg", "");
        for foreign in [
            "http:",
            "https:",
            "//cdn",
            "@import",
            "<link rel=\"stylesheet",
            "src=",
        ] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        // What comes from the data is text.
        for parsed in [
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
        ] {
            assert!(!html.contains(parsed), "{parsed}");
        }
    }
}
