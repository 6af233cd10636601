//! With the feature `torch`: tells the linker where libtorch lies at run time, and the program which version it was built with.
//! Without it: nothing.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    if env::var_os("CARGO_FEATURE_TORCH").is_none() {
        return;
    }
    let Ok(libtorch) = env::var("LIBTORCH") else {
        println!("cargo::error=catgen-train needs libtorch 2.11.0, and the variable LIBTORCH does not say where it is");
        println!("cargo::error=run `make trainer`: it fetches libtorch and builds the trainer with it");
        return;
    };
    let lib = Path::new(&libtorch).join("lib");
    if !lib.join("libtorch_cpu.so").exists() {
        println!("cargo::error=LIBTORCH is {libtorch:?}, and there is no lib/libtorch_cpu.so in it; run `make trainer`");
        return;
    }
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    println!("cargo::rustc-env=CATGEN_LIBTORCH_VERSION={}", version(Path::new(&libtorch)).unwrap_or_else(|| "unknown".to_owned()));
}

/// `2.11.0`, out of the header that carries it.
fn version(libtorch: &Path) -> Option<String> {
    let header = fs::read_to_string(libtorch.join("include/torch/headeronly/version.h")).ok()?;
    let part = |name: &str| {
        let line = header.lines().find(|line| line.starts_with(&format!("#define TORCH_VERSION_{name} ")))?;
        line.split_whitespace().nth(2).map(str::to_owned)
    };
    Some(format!("{}.{}.{}", part("MAJOR")?, part("MINOR")?, part("PATCH")?))
}
