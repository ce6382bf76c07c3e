//! The family graph as a diagram: Mermaid for Markdown, DOT for Graphviz, SVG for whoever has neither.
//!
//! An arrow goes from the child to its parent. Whole, it is an owned reference: the child moves with the parent.
//! Broken, a shared one: a living child holds the parent back. Grey, no foreign key declares it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use layout::backends::svg::SVGWriter;
use layout::gv::{DotParser, GraphBuilder};

use crate::error::{Error, Result};
use crate::schema::{FamilyGraph, Reference};

/// Forms of a diagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiagramFormat {
    /// A Mermaid flowchart.
    Mermaid,
    /// Graphviz.
    Dot,
    /// A picture.
    Svg,
}

/// The tables with the references between them; those without any only if the `whole` schema is wanted.
///
/// # Errors
///
/// Exit code 70 if the picture cannot be drawn.
pub fn diagram(graph: &FamilyGraph, whole: bool, format: DiagramFormat) -> Result<String> {
    let tables = tables(graph, whole);
    match format {
        DiagramFormat::Mermaid => Ok(mermaid(graph, &tables)),
        DiagramFormat::Dot => Ok(dot(graph, &tables)),
        DiagramFormat::Svg => svg(&dot(graph, &tables)),
    }
}

fn tables(graph: &FamilyGraph, whole: bool) -> BTreeSet<&str> {
    let ends = graph.references.iter().flat_map(|r| [&r.child, &r.parent]);
    let mut tables: BTreeSet<&str> = ends.map(String::as_str).collect();
    if whole {
        tables.extend(graph.members.keys().map(String::as_str));
    }
    tables
}

/// Columns of the child, as the label of the arrow.
fn label(reference: &Reference) -> String {
    reference.child_columns.join(", ")
}

fn mermaid(graph: &FamilyGraph, tables: &BTreeSet<&str>) -> String {
    let mut text = String::from("flowchart LR\n");
    // Words of its own (`end`) may not be names of nodes.
    let number = |table: &str| tables.iter().position(|t| *t == table).unwrap_or_default();
    for (index, table) in tables.iter().enumerate() {
        let _ = writeln!(text, "    t{index}[\"{}\"]", table.replace('"', "#quot;"));
    }
    for reference in &graph.references {
        let arrow = if reference.is_owned() { "-->" } else { "-.->" };
        let mut label = label(reference);
        if !reference.declared {
            label.push_str(" (by convention)");
        }
        let (child, parent) = (number(&reference.child), number(&reference.parent));
        let _ = writeln!(text, "    t{child} {arrow}|\"{label}\"| t{parent}");
    }
    text
}

fn dot(graph: &FamilyGraph, tables: &BTreeSet<&str>) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut text = String::from("digraph families {\n    rankdir=LR;\n    node [shape=box];\n");
    for table in tables {
        let _ = writeln!(text, "    {};", quoted(table));
    }
    for reference in &graph.references {
        let style = if reference.is_owned() {
            "solid"
        } else {
            "dashed"
        };
        let color = if reference.declared { "black" } else { "gray" };
        let _ = writeln!(
            text,
            "    {} -> {} [label={}, style={style}, color={color}];",
            quoted(&reference.child),
            quoted(&reference.parent),
            quoted(&label(reference)),
        );
    }
    text.push_str("}\n");
    text
}

fn svg(dot: &str) -> Result<String> {
    let failed = |what: String| {
        Error::internal(format!("the diagram cannot be drawn: {what}"))
            .hint("--format dot draws it with Graphviz")
    };
    let parsed = DotParser::new(dot).process().map_err(failed)?;
    let drawn = std::panic::catch_unwind(|| {
        let mut builder = GraphBuilder::new();
        builder.visit_graph(&parsed);
        let mut picture = SVGWriter::new();
        builder.get().do_it(false, false, false, &mut picture);
        picture.finalize()
    });
    drawn.map_err(|_| failed("the layout gave up".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Model, Profile};

    fn graph(model: &str) -> FamilyGraph {
        let schema = Model::built_in(model).unwrap().schema().unwrap();
        Profile::detect(&schema).families(&schema).unwrap()
    }

    #[test]
    fn every_reference_is_an_arrow_in_every_form() {
        for model in [
            "nova-34.0.0",
            "manila-23.0.1",
            "cinder-29.0.0",
            "glance-33.0.0",
        ] {
            let graph = graph(model);
            let lines = |text: &str, part: &str| text.lines().filter(|l| l.contains(part)).count();
            let count = graph.references.len();
            let text = diagram(&graph, false, DiagramFormat::Mermaid).unwrap();
            assert_eq!(
                lines(&text, "-->|") + lines(&text, "-.->|"),
                count,
                "{model}"
            );
            let text = diagram(&graph, false, DiagramFormat::Dot).unwrap();
            assert_eq!(lines(&text, " -> "), count, "{model}");
            let whole = diagram(&graph, true, DiagramFormat::Svg).unwrap();
            assert!(whole.trim_end().ends_with("</svg>"), "{model}");
            for table in graph.members.keys() {
                assert!(whole.contains(table.as_str()), "{model}: {table}");
            }
        }
    }

    #[test]
    fn the_diagram_of_glance() {
        insta::assert_snapshot!(
            diagram(&graph("glance-33.0.0"), false, DiagramFormat::Mermaid).unwrap()
        );
    }
}
