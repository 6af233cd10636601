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
    println!("cargo::rerun-if-env-changed=CATGEN_CUDA");
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
    let build = |file: &str, more: Option<&Path>, name: &str| {
        let mut build = cc::Build::new();
        build.cpp(true).std("c++17").pic(true).opt_level(3).warnings(false).flag("-D_GLIBCXX_USE_CXX11_ABI=1");
        build.include(libtorch.join("include")).include(libtorch.join("include/torch/csrc/api/include")).includes(more);
        build.file(Path::new("shim").join(file)).compile(name);
    };
    build("cpu.cpp", None, "catgen_cpu");
    match cuda(libtorch) {
        Some(Cuda { include, runtime }) => {
            build("cuda.cpp", Some(&include), "catgen_cuda");
            let folder = runtime.parent().unwrap_or(libtorch);
            println!("cargo::rustc-link-search=native={}", folder.display());
            println!("cargo::rustc-link-search=native={}", libtorch.join("lib").display());
            for name in ["libc10_cuda.so", "libtorch_cuda.so"] {
                println!("cargo::rustc-link-lib=dylib:+verbatim={name}");
            }
            // The headers of libtorch's CUDA half call the runtime themselves.
            println!("cargo::rustc-link-lib=dylib:+verbatim={}", runtime.file_name().unwrap_or_default().to_string_lossy());
            println!("cargo::rustc-link-arg=-Wl,-rpath,{}", folder.display());
        }
        None => build("no_cuda.cpp", None, "catgen_cuda"),
    }
}

/// What the CUDA half of the shim is built with.
struct Cuda {
    /// The headers of the CUDA runtime.
    include: PathBuf,
    /// Its library, `libcudart.so.13` or so.
    runtime: PathBuf,
}

/// Where the CUDA runtime lies, if libtorch has its CUDA half: beside libtorch's own files, in the folder that `CATGEN_CUDA` names, or where NVIDIA's
/// installer puts it.
fn cuda(libtorch: &Path) -> Option<Cuda> {
    if !["libtorch_cuda.so", "libc10_cuda.so"].iter().all(|name| libtorch.join("lib").join(name).exists()) {
        return None;
    }
    let told = env::var_os("CATGEN_CUDA").map(PathBuf::from);
    let found = told.into_iter().chain([libtorch.to_owned(), PathBuf::from("/usr/local/cuda")]).find_map(|root| {
        let include = root.join("include");
        let has_headers = ["cuda_runtime_api.h", "crt/host_config.h"].iter().all(|header| include.join(header).exists());
        let runtime = ["lib", "lib64"].iter().find_map(|lib| runtime_in(&root.join(lib)))?;
        has_headers.then_some(Cuda { include, runtime })
    });
    if found.is_none() {
        println!(
            "cargo::warning=libtorch has CUDA, and the CUDA runtime (headers and libcudart) was not found: steps will not be recorded as"
        );
        println!("cargo::warning=CUDA graphs; say where it is with CATGEN_CUDA, or fetch libtorch with `make trainer`");
    }
    found
}

/// `libcudart.so`, or `libcudart.so.13`, in a folder.
fn runtime_in(folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    files.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("libcudart.so"))).min()
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
