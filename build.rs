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
    // What `--version` says.
    println!("cargo::rustc-env=LEAKTAP_TARGET={}", env::var("TARGET").unwrap_or_default());
    embed_rules()
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
