//! Compresses the texts that the daemon hands out, so that the binary and its memory hold them once and small.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Paths as seen from this file.
const TEXTS: [&str; 6] = [
    "src/api/page.html",
    "../../docs/openapi.json",
    "../../deploy/man/myceliumd.1",
    "../../deploy/completions/myceliumd.bash",
    "../../deploy/completions/_myceliumd",
    "../../deploy/completions/myceliumd.fish",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let here = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    for text in TEXTS {
        println!("cargo::rerun-if-changed={text}");
        let from = Path::new(&here).join(text);
        let name = from.file_name().and_then(|name| name.to_str()).expect("the list has names");
        let to = Path::new(&out).join(format!("{name}.gz"));
        let plain = std::fs::read(&from).unwrap_or_else(|e| panic!("cannot read {}: {e}", from.display()));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let packed =
            encoder.write_all(&plain).and_then(|()| encoder.finish()).expect("a vector takes it all");
        std::fs::write(&to, packed).unwrap_or_else(|e| panic!("cannot write {}: {e}", to.display()));
    }
}
