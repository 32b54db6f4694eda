//! Every configuration that the documentation shows is one that the program takes.
#![expect(clippy::disallowed_methods, reason = "tests are worlds: they lay out files")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A page's block of TOML, and where it begins.
struct Block {
    place: String,
    text: String,
}

#[test]
fn configurations_in_the_documentation_are_taken() {
    let pages = pages(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs"));
    let blocks: Vec<Block> = pages.iter().flat_map(|page| blocks(page)).collect();
    assert!(blocks.len() >= 10, "only {} blocks were found", blocks.len());
    let wrong: Vec<String> = blocks.iter().filter_map(mistakes).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("md") => found.push(path),
            None if path.is_dir() => found.extend(pages(&path)),
            Some(_) | None => {}
        }
    }
    found
}

fn blocks(page: &Path) -> Vec<Block> {
    let text = std::fs::read_to_string(page).expect("a page");
    let mut found: Vec<Block> = Vec::new();
    let mut is_in = false;
    for (number, line) in (1..).zip(text.lines()) {
        match line.trim() {
            "```toml" => {
                is_in = true;
                found.push(Block { place: format!("{}:{number}", page.display()), text: String::new() });
            }
            "```" => is_in = false,
            _ if is_in => {
                let block = found.last_mut().expect("it began");
                block.text += line;
                block.text.push('\n');
            }
            _ => {}
        }
    }
    found
}

/// What the program says against it, but for files that are not on this machine. A part of a file is completed.
fn mistakes(block: &Block) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let has = |section: &str| block.text.lines().any(|line| line.trim() == section);
    let mut text = block.text.clone();
    match has("[node]") {
        false => text += NODE,
        // Keys that every node has.
        true if !block.text.contains("hostname") => text = text.replacen("[node]\n", NODE, 1),
        true => {}
    }
    if !has("[tls]") {
        text += "[tls]\ncertificate = '/nowhere/certificate'\nkey = '/nowhere/key'\n";
    }
    if !["[relay]", "[proxy]", "[[store]]"].into_iter().any(has) {
        text += "[[store]]\nname = 'ingrid'\n";
    }
    let file = folder.path().join("posthouse.toml");
    std::fs::write(&file, &text).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_posthouse")).args(["config", "check"]).arg(&file).output();
    let output = output.expect("the program runs");
    let said = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
    let is_wrong = |line: &&str| line.contains("posthouse.toml:") && !FILES.iter().any(|about| line.contains(about));
    let wrong: Vec<&str> = said.lines().filter(is_wrong).filter(|line| !line.contains("no mistakes")).collect();
    (!wrong.is_empty()).then(|| format!("{}: {}", block.place, wrong.join("; ")))
}

const NODE: &str = "[node]\nname = 'one'\nhostname = 'one.example'\ndata = 'data'\n";
/// What is said of files and users that a page names and this machine does not have.
const FILES: [&str; 4] = ["No such file or directory", "is no user", "Permission denied", "cannot read"];
