//! The frame of a page: head, policy, style, script, header and footer.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// How good what a page tells is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Error,
    Warning,
    Note,
    Good,
}

impl Mood {
    fn class(self) -> &'static str {
        match self {
            Self::Error => "is-error",
            Self::Warning => "is-warning",
            Self::Note => "is-note",
            Self::Good => "is-good",
        }
    }

    /// For those who do not see the colour.
    fn sign(self) -> &'static str {
        match self {
            Self::Error => "\u{2716}",
            Self::Warning => "\u{25b2}",
            Self::Note => "\u{25cf}",
            Self::Good => "\u{2714}",
        }
    }
}

/// What it comes to, in one line and some smaller ones.
pub(super) struct Verdict {
    pub(super) mood: Mood,
    pub(super) line: String,
    pub(super) more: Vec<String>,
}

/// A part of a page, with a heading of its own and a link to it at the top.
pub(super) struct Section {
    pub(super) id: &'static str,
    pub(super) title: String,
    pub(super) body: Markup,
}

/// A page.
pub(super) struct Page<'a> {
    /// What made it: `sexton audit`.
    pub(super) command: &'a str,
    /// What it is about: a database, an engine.
    pub(super) subject: &'a str,
    /// What else there is to say of the subject: the profile.
    pub(super) aside: String,
    pub(super) verdict: Verdict,
    /// The numbers that matter, with a word and a remark each.
    pub(super) tiles: Vec<(&'static str, String, String)>,
    pub(super) sections: Vec<Section>,
    /// When the run ended.
    pub(super) at: Timestamp,
}

impl Page<'_> {
    /// The whole page.
    pub(super) fn text(&self) -> String {
        let policy = format!(
            "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
            hash(STYLE),
            hash(SCRIPT)
        );
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(policy);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="no-referrer";
                    meta name="generator" content={ "sexton " (env!("CARGO_PKG_VERSION")) };
                    title { (self.command) ": " (self.subject) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a.skip href="#content" { "To the content" }
                    (self.header())
                    main id="content" {
                        @for section in &self.sections {
                            @let heading = format!("{}-heading", section.id);
                            section id=(section.id) aria-labelledby=(heading) {
                                h2 id=(heading) { (section.title) }
                                (section.body)
                            }
                        }
                    }
                    footer {
                        p { "Written by sexton " (env!("CARGO_PKG_VERSION")) " at " (self.moment()) "." }
                    }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        page.into_string()
    }

    fn header(&self) -> Markup {
        let Verdict { mood, line, more } = &self.verdict;
        html! {
            header {
                p.eyebrow { (self.command) " \u{b7} " (self.moment()) }
                h1 { (self.subject) }
                @if !self.aside.is_empty() { p.eyebrow { (self.aside) } }
                div class={ "verdict " (mood.class()) } {
                    span aria-hidden="true" { (mood.sign()) " " }
                    (line)
                    @for line in more { small { (line) } }
                }
                @if !self.tiles.is_empty() {
                    dl.tiles {
                        @for (name, value, remark) in &self.tiles {
                            div {
                                dt { (name) }
                                dd { (value) @if !remark.is_empty() { small { (remark) } } }
                            }
                        }
                    }
                }
                nav aria-label="On this page" {
                    ul {
                        @for section in &self.sections {
                            li { a href={ "#" (section.id) } { (section.title) } }
                        }
                    }
                }
            }
        }
    }

    fn moment(&self) -> Markup {
        let machine = self.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        html! { time datetime=(machine) { (self.at.strftime("%Y-%m-%d %H:%M:%S").to_string()) " UTC" } }
    }
}

/// What the policy calls an inline style or script by.
fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}
