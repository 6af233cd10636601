//! `catgen-pipe`: from a folder of your own photos to a trained 64 px image generator.

fn main() -> std::process::ExitCode {
    catgen_pipe::cli::main()
}
