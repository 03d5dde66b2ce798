//! The text of `--help`.

use super::Setting;

/// Columns.
const WIDTH: usize = 100;
/// Columns before a help text.
const INDENT: usize = 6;

/// `environment`: whether the program listens to variables.
pub(super) fn text(program: &str, settings: &[Setting], environment: bool) -> String {
    let mut out = format!("Usage: {program} [--setting=value] ...\n\n");
    let variables = if environment { "the environment (MESOS_NAME=value), " } else { "" };
    let introduction = format!(
        "Settings come from the command line (--name=value or --name value), {variables}the file of --config \
         (TOML, name = value), and built-in defaults; the earlier in this list wins. A value file:///path, \
         or where JSON is taken also /path, stands for the content of that file; where a path is taken, for the path."
    );
    wrap(&mut out, &introduction, 0);
    let mut group = "";
    for setting in settings {
        if setting.group != group {
            group = setting.group;
            out.push_str(&format!("\n{group}:\n"));
        }
        describe(&mut out, setting);
    }
    out.push_str("\nAbout:\n");
    for (flag, help) in [
        ("--config=PATH", "Read settings from this TOML file."),
        ("--help", "Print this text and end."),
        ("--version", "Print the version and end."),
    ] {
        out.push_str(&format!("  {flag}\n"));
        wrap(&mut out, help, INDENT);
    }
    out
}

fn describe(out: &mut String, setting: &Setting) {
    if setting.is_switch {
        out.push_str(&format!("  --[no-]{}\n", setting.name));
    } else {
        out.push_str(&format!("  --{}={}\n", setting.name, setting.placeholder));
    }
    for paragraph in paragraphs(setting.help) {
        wrap(out, &paragraph, INDENT);
    }
    let mut facts = Vec::new();
    match &setting.default {
        Some(default) if default.is_empty() => facts.push("Default: empty.".to_owned()),
        Some(default) => facts.push(format!("Default: {default}.")),
        None if setting.is_required => facts.push("Required.".to_owned()),
        None => facts.push("No default.".to_owned()),
    }
    if !setting.is_switch && !matches!(setting.placeholder, "TEXT" | "PATH") {
        facts.push(format!("Takes {}.", setting.allowed));
    }
    if !setting.aliases.is_empty() {
        facts.push(format!("Also called {}.", setting.aliases.join(", ")));
    }
    wrap(out, &facts.join(" "), INDENT);
}

/// The lines of a documentation comment, joined up to the next empty one.
fn paragraphs(lines: &[&str]) -> Vec<String> {
    let text: Vec<&str> = lines.iter().flat_map(|line| line.split('\n')).map(str::trim).collect();
    text.split(|line| line.is_empty()).map(|lines| lines.join(" ")).filter(|text| !text.is_empty()).collect()
}

fn wrap(out: &mut String, text: &str, indent: usize) {
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            out.push('\n');
            column = 0;
        }
        if column == 0 {
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
}
