//! The dependency table against small made-up workspaces and pages.

use super::*;

fn small_table() -> Table {
    BTreeMap::from([
        ("base".to_owned(), Allowed::Only(BTreeSet::new())),
        (
            "top".to_owned(),
            Allowed::Only(BTreeSet::from(["base".to_owned()])),
        ),
        ("tool".to_owned(), Allowed::Anything),
    ])
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn edge(from: &str, to: &str) -> Edge {
    Edge {
        from: from.to_owned(),
        to: to.to_owned(),
        development: false,
    }
}

fn messages(violations: Vec<Violation>) -> Vec<String> {
    violations.iter().map(ToString::to_string).collect()
}

#[test]
fn allowed_dependencies_pass() {
    let edges = [edge("top", "base"), edge("tool", "top")];
    let found = check_edges(&small_table(), &names(&["base", "top", "tool"]), &edges);
    assert_eq!(found, []);
}

#[test]
fn an_upward_dependency_is_found_unless_only_tests_need_it() {
    let upward = edge("base", "top");
    let for_tests = Edge {
        development: true,
        ..edge("base", "tool")
    };
    let found = check_edges(
        &small_table(),
        &names(&["base", "top", "tool"]),
        &[upward, for_tests],
    );
    assert_eq!(messages(found), ["base: may not depend on `top`"]);
}

#[test]
fn a_crate_outside_the_table_and_a_row_without_a_crate_are_found() {
    let found = check_edges(&small_table(), &names(&["base", "new", "tool"]), &[]);
    assert_eq!(
        messages(found),
        [
            "new: is not in the dependency table of xtask",
            "top: is in the dependency table but not a member",
        ]
    );
}

#[test]
fn a_cycle_is_found_and_a_diamond_is_none() {
    let names = names(&["a", "b", "c", "d"]);
    let diamond = [
        edge("a", "b"),
        edge("a", "c"),
        edge("b", "d"),
        edge("c", "d"),
    ];
    assert_eq!(check_cycles(&names, &diamond), []);

    let cycle = [
        edge("a", "b"),
        edge("b", "c"),
        edge("c", "b"),
        edge("c", "d"),
    ];
    let found = messages(check_cycles(&names, &cycle));
    assert_eq!(found.len(), 3, "b and c, and a above them: {found:?}");
    assert!(!found.iter().any(|message| message.starts_with("d:")));
}

const PAGE_TEXT: &str = "\
# Architecture
<!-- crate-table -->
| crate | holds | may depend on |
| --- | --- | --- |
| `base` | the `Codec` | – |
| `top` | order and locking | all of the above |
| `tool` | commands | anything |
<!-- /crate-table -->
| `other` | another table | – |
";

#[test]
fn a_page_that_shows_the_table_passes() {
    assert_eq!(check_page(&small_table(), PAGE_TEXT), []);
}

#[test]
fn names_in_the_last_cell_are_read() {
    let page = PAGE_TEXT.replace("all of the above", "`base`");
    assert_eq!(check_page(&small_table(), &page), []);
}

#[test]
fn a_page_that_differs_from_the_table_is_found() {
    let page = PAGE_TEXT
        .replace("| `base` | the `Codec` | – |", "| `extra` | x | – |")
        .replace("all of the above", "–");
    let found = messages(check_page(&small_table(), &page));
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("docs/ARCHITECTURE.md:5: `extra`"));
    assert!(found[1].starts_with("docs/ARCHITECTURE.md:6: `top`"));
    assert!(found[2].contains("lacks `base`"));
}

#[test]
fn a_tool_above_all_layers_need_not_be_on_the_page() {
    let page = PAGE_TEXT.replace("| `tool` | commands | anything |\n", "");
    assert_eq!(check_page(&small_table(), &page), []);
}

#[test]
fn a_page_without_its_markers_is_found() {
    assert_eq!(check_page(&small_table(), "# Architecture\n").len(), 1);
}

#[test]
fn every_library_of_the_law_stands_below_the_facade() {
    let table = table();
    let Some(Allowed::Only(below)) = table.get("lsm-db") else {
        unreachable!("the facade has a closed list");
    };
    for (name, allowed) in &table {
        let is_library = matches!(allowed, Allowed::Only(_)) && name != "lsm-db";
        assert_eq!(below.contains(name), is_library, "{name}");
    }
}
