//! With the feature `torch`: builds the C++ shim, tells the linker where libtorch lies at run time, and the program which version it
//! was built with. Without it: nothing.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=shim");
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    println!("cargo::rerun-if-env-changed=CATGEN_CUDA_INCLUDE");
    if env::var_os("CARGO_FEATURE_TORCH").is_none() {
        return;
    }
    let Ok(libtorch) = env::var("LIBTORCH") else {
        println!("cargo::error=catgen-train needs libtorch 2.11.0, and the variable LIBTORCH does not say where it is");
        println!("cargo::error=run `make trainer`: it fetches libtorch and builds the trainer with it");
        return;
    };
    let libtorch = Path::new(&libtorch);
    let lib = libtorch.join("lib");
    if !lib.join("libtorch_cpu.so").exists() {
        println!("cargo::error=LIBTORCH is {libtorch:?}, and there is no lib/libtorch_cpu.so in it; run `make trainer`");
        return;
    }
    shim(libtorch);
    println!("cargo::rustc-link-arg=-Wl,-rpath,{}", lib.display());
    println!("cargo::rustc-env=CATGEN_LIBTORCH_VERSION={}", version(libtorch).unwrap_or_else(|| "unknown".to_owned()));
}

/// Compiles `shim/`, with its CUDA half where libtorch has one.
fn shim(libtorch: &Path) {
    let cuda = cuda_include(libtorch);
    let build = |file: &str, more: &[&Path], name: &str| {
        let mut build = cc::Build::new();
        build.cpp(true).std("c++17").pic(true).opt_level(3).warnings(false).flag("-D_GLIBCXX_USE_CXX11_ABI=1");
        build.include(libtorch.join("include")).include(libtorch.join("include/torch/csrc/api/include")).includes(more);
        build.file(Path::new("shim").join(file)).compile(name);
    };
    build("cpu.cpp", &[], "catgen_cpu");
    match &cuda {
        Some(include) => {
            build("cuda.cpp", &[include], "catgen_cuda");
            println!("cargo::rustc-link-search=native={}", libtorch.join("lib").display());
            println!("cargo::rustc-link-lib=c10_cuda");
            println!("cargo::rustc-link-lib=torch_cuda");
        }
        None => build("no_cuda.cpp", &[], "catgen_cuda"),
    }
}

/// Where the headers of the CUDA runtime lie, if libtorch has its CUDA half: beside libtorch's own, or where `CATGEN_CUDA_INCLUDE` says.
fn cuda_include(libtorch: &Path) -> Option<PathBuf> {
    let has_cuda = ["libtorch_cuda.so", "libc10_cuda.so"].iter().all(|name| libtorch.join("lib").join(name).exists());
    let told = env::var_os("CATGEN_CUDA_INCLUDE").map(PathBuf::from);
    let folders = told.into_iter().chain([libtorch.join("include"), PathBuf::from("/usr/local/cuda/include")]);
    let found =
        folders.into_iter().find(|folder| ["cuda_runtime_api.h", "crt/host_config.h"].iter().all(|header| folder.join(header).exists()));
    if has_cuda && found.is_none() {
        println!(
            "cargo::warning=libtorch has CUDA, and the headers of the CUDA runtime were not found: steps will not be recorded as CUDA graphs;"
        );
        println!("cargo::warning=say where they are with CATGEN_CUDA_INCLUDE, or fetch libtorch with `make trainer`");
    }
    found.filter(|_| has_cuda)
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
