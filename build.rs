//! Before the build: what has to be there is looked for, and the rule files become part of the program.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_PCAP").is_some() {
        libpcap();
    }
    if env::var_os("CARGO_FEATURE_EBPF").is_some()
        && env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux")
    {
        kernel_programs();
    }
    // What `--version` says.
    println!("cargo::rustc-env=LEAKTAP_TARGET={}", env::var("TARGET").unwrap_or_default());
    embed_rules()
}

/// The programs that run in the kernel, each `NAME.bpf.c` beside the header that it needs.
const KERNEL_PROGRAMS: [&str; 3] =
    ["src/process/ebpf/owner.bpf.c", "src/source/live/ebpf/frames.bpf.c", "src/source/tls/tls.bpf.c"];

/// Compiles each of [`KERNEL_PROGRAMS`] to `NAME.bpf.o`. Where each field of the kernel lies is found when they are loaded.
fn kernel_programs() {
    println!("cargo::rerun-if-env-changed=CLANG");
    let clang = env::var_os("CLANG").unwrap_or_else(|| "clang".into());
    let architecture = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("aarch64") => "arm64",
        Ok("riscv64") => "riscv",
        Ok("s390x") => "s390",
        Ok("powerpc64") => "powerpc",
        _ => "x86",
    };
    for program in KERNEL_PROGRAMS.map(Path::new) {
        println!("cargo::rerun-if-changed={}", program.parent().unwrap_or(program).display());
        let name = program.with_extension("o");
        let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default())
            .join(name.file_name().unwrap_or_default());
        let mut command = Command::new(&clang);
        command.args(["-g", "-O2", "-Wall", "-target", "bpf"]).arg(format!("-D__TARGET_ARCH_{architecture}"));
        command.arg("-I").arg(env::var_os("DEP_BPF_INCLUDE").unwrap_or_default());
        command.arg("-c").arg(program).arg("-o").arg(out);
        compiled(&mut command);
    }
}

/// Runs clang and says what is wrong in a line.
fn compiled(command: &mut Command) {
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            println!(
                "cargo::error=the programs for the kernel do not compile: {}",
                said.lines().next().unwrap_or_default()
            );
        }
        Err(_) => println!(
            "cargo::error=the feature `ebpf` needs clang: `apt-get install clang libelf-dev zlib1g-dev` brings it (or name it \
             in CLANG); without the feature leaktap is built all the same, and looks processes up"
        ),
    }
}

/// Fails where libpcap cannot be linked; the linker's own message does not say what to do.
fn libpcap() {
    println!("cargo::rerun-if-env-changed=LIBPCAP_LIBDIR");
    println!("cargo::rerun-if-env-changed=LIBRARY_PATH");
    // Cross builds and other systems have places of their own for libraries.
    let native = env::var("HOST").ok() == env::var("TARGET").ok();
    if !native || env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    let names = ["libpcap.so", "libpcap.a"];
    let named = env::var_os("LIBPCAP_LIBDIR")
        .is_some_and(|folder| names.iter().any(|name| Path::new(&folder).join(name).exists()));
    if !named && !names.iter().any(|name| linker_finds(name)) && !pkg_config_finds() {
        println!(
            "cargo::error=libpcap cannot be linked: `apt-get install libpcap-dev` brings it \
             (or name its folder in LIBPCAP_LIBDIR); `cargo build --no-default-features` builds without it, \
             and without --filter"
        );
    }
}

/// The `pcap` crate asks it too, and links where it says.
fn pkg_config_finds() -> bool {
    Command::new("pkg-config").args(["--exists", "libpcap"]).status().is_ok_and(|status| status.success())
}

/// Whether the C compiler, which links, finds a library of this file name; it gives the bare name back where not.
/// Without a compiler nothing can be said: then the linker is missing, which cargo says itself.
fn linker_finds(name: &str) -> bool {
    match Command::new("cc").arg(format!("-print-file-name={name}")).output() {
        Ok(output) => Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_absolute(),
        Err(_) => true,
    }
}

/// Writes `$OUT_DIR/rules.rs`: an array of `(file name, text)` of every `rules/*.toml`, sorted by name.
fn embed_rules() -> io::Result<()> {
    println!("cargo::rerun-if-changed=rules");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let mut files: Vec<PathBuf> = match fs::read_dir(root.join("rules")) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let mut code = String::from("[\n");
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let _ = writeln!(code, "    ({name:?}, include_str!({:?})),", file.display().to_string());
    }
    code.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join(Path::new("rules.rs")), code)
}
