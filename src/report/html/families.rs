//! The family graph as a picture, with what is wrong marked on it, and the same as a table.

use std::collections::{BTreeMap, BTreeSet};

use layout::core::base::Orientation;
use layout::core::format::{ClipHandle, RenderBackend};
use layout::core::geometry::{Point, Position};
use layout::core::style::{LineStyleKind, StyleAttr};
use layout::std_shapes::shapes::{Arrow, Element, LineEndKind, ShapeKind};
use layout::topo::layout::VisualGraph;
use maud::{Markup, html};

use super::super::audit::worst_first;
use super::audit::Families;
use super::parts::{rounded, scroll, several};
use crate::audit::{AuditReport, Severity};
use crate::error::{Error, Result};
use crate::schema::Reference;

/// How wide a character is, on the average, and how high a line.
const CHARACTER: (f64, f64) = (7.7, 17.0);

/// Space between the words of a table and its border.
const PADDING: (f64, f64) = (22.0, 11.0);

/// Free space around a table: beside it for the arrows, above and below it.
const AROUND: (f64, f64) = (72.0, 16.0);

/// What the findings say of a table or a reference.
#[derive(Default)]
struct Marks {
    /// Findings by severity, the harmless first.
    counts: BTreeMap<Severity, u64>,
    /// The number of the first finding on the page.
    first: Option<usize>,
}

impl Marks {
    fn note(&mut self, number: usize, severity: Severity) {
        *self.counts.entry(severity).or_default() += 1;
        self.first.get_or_insert(number);
    }

    fn worst(&self) -> Option<Severity> {
        self.counts.keys().next_back().copied()
    }

    /// `2 errors, 1 note`.
    fn words(&self) -> String {
        let counts = self.counts.iter().rev();
        let words = counts.map(|(severity, n)| several(*n, severity.as_str()));
        words.collect::<Vec<_>>().join(", ")
    }
}

/// All tables that take part in families, of all cells together, and what is wrong with them.
struct Marked<'a> {
    tables: Vec<(&'a str, Marks)>,
    references: Vec<(&'a Reference, Marks)>,
}

impl<'a> Marked<'a> {
    fn new(report: &AuditReport, families: &'a [Families<'a>]) -> Self {
        let mut tables: BTreeMap<&str, Marks> = BTreeMap::new();
        let mut references: BTreeMap<String, (&Reference, Marks)> = BTreeMap::new();
        for part in families {
            for reference in &part.graph.references {
                for end in [&reference.child, &reference.parent] {
                    tables.entry(end.as_str()).or_default();
                }
                references
                    .entry(reference.to_string())
                    .or_insert((reference, Marks::default()));
            }
        }
        for (number, finding) in (1..).zip(worst_first(report)) {
            let named = |part: &&Families<'_>| finding.table.starts_with(&part.prefix);
            // The longest one: a prefix of nothing fits everything.
            let part = families.iter().filter(named).max_by_key(|p| p.prefix.len());
            let Some(part) = part else { continue };
            let name = &finding.table[part.prefix.len()..];
            let is_it =
                |m: &&crate::schema::Member| m.table == name || m.shadow.as_deref() == Some(name);
            let member = part.graph.members.values().find(is_it);
            if let Some(marks) = member.and_then(|m| tables.get_mut(m.table.as_str())) {
                marks.note(number, finding.severity);
            }
            let reference = finding
                .reference
                .as_ref()
                .and_then(|r| references.get_mut(r));
            if let Some((_, marks)) = reference {
                marks.note(number, finding.severity);
            }
        }
        Self {
            tables: tables.into_iter().collect(),
            references: references.into_values().collect(),
        }
    }
}

/// The picture with its legend and the table that says the same; `None` if there are no references.
///
/// # Errors
///
/// Exit code 70 if the picture cannot be drawn.
pub(super) fn families(report: &AuditReport, families: &[Families<'_>]) -> Result<Option<Markup>> {
    let marked = Marked::new(report, families);
    if marked.references.is_empty() {
        return Ok(None);
    }
    let picture = Picture::of(&marked)?;
    let cells: BTreeSet<_> = families.iter().map(|part| &part.prefix).collect();
    Ok(Some(html! {
        figure {
            figcaption {
                "An arrow goes from a child to its parent. Whole: the child moves with its parent. Broken: a living \
                 child holds its parent back. Thin: no foreign key declares it. A table or an arrow with a thick, \
                 coloured line has findings; a table leads to the first of them."
                @if cells.len() > 1 { " All cells are drawn as one." }
            }
            div.families { (scroll("Picture of the families", draw(&marked, &picture))) }
        }
        details {
            summary { "The same as a table: " (several(marked.references.len() as u64, "reference")) }
            (table(&marked))
        }
    }))
}

fn draw(marked: &Marked<'_>, picture: &Picture) -> Markup {
    let (width, height) = (rounded(picture.width), rounded(picture.height));
    html! {
        svg width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } role="group"
            aria-label="Family graph" {
            defs {
                marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8"
                    markerUnits="userSpaceOnUse" orient="auto-start-reverse" {
                    path d="M 0 0 L 8 4 L 0 8 z" {}
                }
            }
            @for (number, path, heads) in &picture.arrows {
                @if let Some((reference, marks)) = marked.references.get(*number) {
                    g class=(classes(reference, marks)) {
                        title { (reference) @if marks.first.is_some() { ": " (marks.words()) } }
                        path d=(path) marker-start=[heads.0.then_some("url(#arrow)")]
                            marker-end=[heads.1.then_some("url(#arrow)")] {}
                    }
                }
            }
            @for (number, at, size) in &picture.boxes {
                @if let Some((table, marks)) = marked.tables.get(*number) {
                    g class=(marks.worst().map_or("", Severity::as_str)) {
                        @match marks.first {
                            Some(first) => {
                                a href={ "#finding-" (first) } aria-label={ (table) ": " (marks.words()) } {
                                    (node(table, marks, *at, *size))
                                }
                            }
                            None => (node(table, marks, *at, *size)),
                        }
                    }
                }
            }
        }
    }
}

fn node(table: &str, marks: &Marks, at: Point, size: Point) -> Markup {
    let middle = Point::new(at.x + size.x / 2.0, at.y + size.y / 2.0);
    let words = marks.words();
    let apart = if words.is_empty() { 0.0 } else { 8.0 };
    html! {
        rect x=(rounded(at.x)) y=(rounded(at.y)) width=(rounded(size.x)) height=(rounded(size.y)) rx="4" {}
        text x=(rounded(middle.x)) y=(rounded(middle.y - apart)) {
            (table)
            @if !words.is_empty() {
                tspan.marks x=(rounded(middle.x)) y=(rounded(middle.y + apart)) { (words) }
            }
        }
    }
}

fn classes(reference: &Reference, marks: &Marks) -> String {
    let mut classes = vec![if reference.is_owned() {
        "owned"
    } else {
        "shared"
    }];
    if !reference.declared {
        classes.push("convention");
    }
    classes.extend(marks.worst().map(Severity::as_str));
    classes.join(" ")
}

fn table(marked: &Marked<'_>) -> Markup {
    let table = html! {
        table.sortable {
            thead {
                tr {
                    th scope="col" { "reference" }
                    th scope="col" { "the child" }
                    th scope="col" { "known from" }
                    th scope="col" { "findings" }
                }
            }
            tbody {
                @for (reference, marks) in &marked.references {
                    tr {
                        th scope="row" { code { (reference) } }
                        td { @if reference.is_owned() { "moves with its parent" } @else { "is shared" } }
                        td { @if reference.declared { "a foreign key" } @else { "the profile" } }
                        td {
                            @if let Some(first) = marks.first {
                                a href={ "#finding-" (first) } { (marks.words()) }
                            } @else { "none" }
                        }
                    }
                }
            }
        }
    };
    scroll("References", table)
}

/// Where everything goes: what the layout says, without any of its looks.
#[derive(Default)]
struct Picture {
    width: f64,
    height: f64,
    /// Tables by number, with their upper left corner and size.
    boxes: Vec<(usize, Point, Point)>,
    /// References by number, with their path and whether there is an arrow at its beginning and its end.
    arrows: Vec<(usize, String, (bool, bool))>,
}

impl Picture {
    fn of(marked: &Marked<'_>) -> Result<Self> {
        let failed =
            || Error::internal("the picture of the families cannot be drawn: the layout gave up");
        std::panic::catch_unwind(|| {
            let mut graph = VisualGraph::new(Orientation::LeftToRight);
            let look = StyleAttr::simple();
            let mut handles = BTreeMap::new();
            for (number, (table, marks)) in marked.tables.iter().enumerate() {
                let size = size(table, &marks.words());
                let mut node = Element::create_with_properties(
                    ShapeKind::new_box(table),
                    look.clone(),
                    Orientation::LeftToRight,
                    size,
                    number.to_string(),
                );
                let around = Point::new(AROUND.0, AROUND.1);
                node.pos = Position::new(Point::zero(), size, Point::zero(), around);
                handles.insert(*table, graph.add_node(node));
            }
            for (number, (reference, _)) in marked.references.iter().enumerate() {
                let ends = [&reference.child, &reference.parent].map(|t| handles.get(t.as_str()));
                if let [Some(child), Some(parent)] = ends {
                    let arrow = Arrow::with_properties(
                        LineEndKind::None,
                        LineEndKind::Arrow,
                        LineStyleKind::Normal,
                        "",
                        &look,
                        number.to_string(),
                        &None,
                        &None,
                    );
                    graph.add_edge(arrow, *child, *parent);
                }
            }
            let mut picture = Self::default();
            graph.do_it(false, false, false, &mut picture);
            picture
        })
        .map_err(|_| failed())
    }

    fn grow(&mut self, to: Point) {
        const MARGIN: f64 = 8.0;
        self.width = self.width.max(to.x + MARGIN);
        self.height = self.height.max(to.y + MARGIN);
    }
}

/// What a table with its marks takes.
fn size(table: &str, marks: &str) -> Point {
    let lines = [table, marks].map(|line| line.chars().count());
    let longest = lines.iter().max().copied().unwrap_or(0);
    let high = lines.iter().filter(|n| **n > 0).count();
    Point::new(
        longest as f64 * CHARACTER.0 + PADDING.0,
        high as f64 * CHARACTER.1 + PADDING.1,
    )
}

fn number(properties: Option<String>) -> Option<usize> {
    properties.and_then(|number| number.parse().ok())
}

impl RenderBackend for Picture {
    fn draw_rect(
        &mut self,
        xy: Point,
        size: Point,
        _: &StyleAttr,
        properties: Option<String>,
        _: Option<ClipHandle>,
    ) {
        self.grow(xy.add(size));
        self.boxes.extend(number(properties).map(|n| (n, xy, size)));
    }

    fn draw_arrow(
        &mut self,
        path: &[(Point, Point)],
        _: bool,
        heads: (bool, bool),
        _: &StyleAttr,
        properties: Option<String>,
        _: &str,
    ) {
        let point = |p: Point| format!("{} {}", rounded(p.x), rounded(p.y));
        let mut d = String::new();
        for (index, (a, b)) in path.iter().enumerate() {
            self.grow(*a);
            self.grow(*b);
            d += &match index {
                // The way out of the first end, the way into each that follows.
                0 => format!("M {} C {}", point(*a), point(*b)),
                1 => format!(", {}, {}", point(*a), point(*b)),
                _ => format!(" S {}, {}", point(*a), point(*b)),
            };
        }
        self.arrows
            .extend(number(properties).map(|n| (n, d, heads)));
    }

    // Tables are boxes, references arrows: there is nothing else.
    fn draw_line(&mut self, _: Point, _: Point, _: &StyleAttr, _: Option<String>) {}
    fn draw_circle(&mut self, _: Point, _: Point, _: &StyleAttr, _: Option<String>) {}
    fn draw_text(&mut self, _: Point, _: &str, _: &StyleAttr) {}

    fn create_clip(&mut self, _: Point, _: Point, _: usize) -> ClipHandle {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Finding;
    use crate::schema::{FamilyGraph, Model, Profile};

    fn graph(model: &str) -> FamilyGraph {
        let schema = Model::built_in(model).unwrap().schema().unwrap();
        Profile::detect(&schema).families(&schema).unwrap()
    }

    fn drawn(report: &AuditReport, parts: &[(&str, &FamilyGraph)]) -> String {
        let parts: Vec<_> = parts
            .iter()
            .map(|(prefix, graph)| Families {
                prefix: (*prefix).to_owned(),
                graph,
            })
            .collect();
        families(report, &parts).unwrap().unwrap().into_string()
    }

    #[test]
    fn every_table_is_a_box_and_every_reference_an_arrow() {
        let report = AuditReport::new("d", "p");
        for model in [
            "nova-34.0.0",
            "manila-23.0.1",
            "cinder-29.0.0",
            "glance-33.0.0",
            "heat-27.0.1",
        ] {
            let graph = graph(model);
            let page = drawn(&report, &[("", &graph)]);
            let ends = graph.references.iter().flat_map(|r| [&r.child, &r.parent]);
            let tables: BTreeSet<_> = ends.collect();
            assert_eq!(page.matches("<rect").count(), tables.len(), "{model}");
            assert_eq!(
                page.matches("marker-end").count(),
                graph.references.len(),
                "{model}"
            );
            // The same picture each time: pages are compared.
            assert_eq!(page, drawn(&report, &[("", &graph)]), "{model}");
        }
    }

    #[test]
    fn findings_are_marked_whatever_cell_they_are_of() {
        let graph = graph("glance-33.0.0");
        let reference = &graph.references[0];
        let mut report = crate::report::example();
        let finding = |severity, table: String, reference: Option<String>| Finding {
            severity,
            table,
            reference,
            ..crate::report::example().findings[0].clone()
        };
        report.findings = vec![
            finding(Severity::Note, format!("a.{}", reference.parent), None),
            finding(
                Severity::Error,
                format!("b.{}", reference.child),
                Some(reference.to_string()),
            ),
            finding(Severity::Note, format!("b.{}", reference.parent), None),
        ];
        let page = drawn(&report, &[("a.", &graph), ("b.", &graph)]);
        assert!(page.contains("All cells are drawn as one."));
        let link = |number: usize, table: &str, words: &str| {
            format!("<a href=\"#finding-{number}\" aria-label=\"{table}: {words}\">")
        };
        assert!(
            page.contains(&link(1, &reference.child, "1 error")),
            "{page}"
        );
        assert!(
            page.contains(&link(2, &reference.parent, "2 notes")),
            "{page}"
        );
        assert!(
            page.contains(&format!(
                "{}: 1 error</title>",
                reference.to_string().replace('>', "&gt;")
            )),
            "{page}"
        );
    }
}
