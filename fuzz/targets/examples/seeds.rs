//! Writes the binary files of `fuzz/corpus`.
#![expect(clippy::disallowed_methods, reason = "a world: it writes files")]

use std::path::Path;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    for (target, name, octets) in fuzz_targets::seeds::seeds() {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(name), octets)?;
    }
    Ok(())
}
