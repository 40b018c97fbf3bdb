//! Arguments to exit code.
#![forbid(unsafe_code)]

fn main() {
    let start = mycelium_edge::supervisor::Start {
        config: std::env::args().nth(3).map(Into::into),
        ..Default::default()
    };
    if let Err(e) = mycelium_edge::supervisor::run(&start) {
        eprintln!("{e}");
        std::process::exit(1)
    }
}
