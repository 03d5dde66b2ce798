//! Writes the tree of modules that includes prost's files.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::model::Model;

#[derive(Default)]
struct Node {
    children: BTreeMap<String, Node>,
    /// prost wrote a file for this package.
    package: Option<String>,
}

/// `pub mod v1 { include!(...); pub mod scheduler { ... } }` and so on, for the crate's root.
pub(crate) fn render(model: &Model) -> String {
    let mut root = Node::default();
    let messages = model.messages.values().filter(|message| message.top_level);
    for path in messages.map(|message| &message.rust) {
        let module: Vec<&str> = path.split("::").collect();
        let module = &module[1..module.len() - 1];
        let mut node = &mut root;
        for part in module {
            node = node.children.entry((*part).to_owned()).or_default();
        }
        node.package = Some(module.join("."));
    }
    let mut out = String::new();
    write_children(&mut out, &root, "");
    out
}

fn write_children(out: &mut String, node: &Node, path: &str) {
    for (name, child) in &node.children {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let _ = writeln!(out, "/// Generated from the `.proto` files of package `{path}` (below `mesos`).");
        // Generated code: its documentation is the comments of the .proto files, and its style prost's.
        let _ = writeln!(out, "#[allow(missing_docs, unreachable_pub, clippy::all, rustdoc::all)]");
        let _ = writeln!(out, "pub mod {name} {{");
        if let Some(package) = &child.package {
            let _ = writeln!(out, "include!(concat!(env!(\"OUT_DIR\"), \"/{package}.rs\"));");
            if package == "v1" {
                let _ = writeln!(out, "pub use crate::labels::{{LabelRef, Labels}};");
            }
        }
        write_children(out, child, &path);
        let _ = writeln!(out, "}}");
    }
}
