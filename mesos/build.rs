//! Makes the protocol's Rust from the `.proto` files of `proto/`.
//!
//! protox compiles the files (no `protoc` is needed), prost writes the structs, and the walk over
//! the descriptors in `build/` adds what prost does not know: the packages' place in this crate,
//! serde in Mesos's JSON dialect, bincode, the tables of fields that the required-field checks use,
//! and the fingerprint of the schema. It knows nothing of what the messages mean.

#[path = "build/binary.rs"]
mod binary;
#[path = "build/json.rs"]
mod json;
#[path = "build/model.rs"]
mod model;
#[path = "build/modules.rs"]
mod modules;
#[path = "build/tables.rs"]
mod tables;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;

/// Changes whenever the bincode form changes although the descriptors do not (a new bincode, a
/// different configuration), so that two builds that would misread each other never try.
const CODEC_VERSION: u64 = 2;

/// The message that is written by hand, in `src/labels.rs`.
const LABELS: &str = "mesos.v1.Labels";

/// Large fields that most values of their message do not have: without a box each resource would take six times the room,
/// and each task three times. (Most statuses have a container; there is one at a time of them for each task.)
const BOXED: &[&str] = &[
    ".v1.Resource.disk",
    ".v1.Resource.provider_id",
    ".v1.Resource.reservation",
    ".v1.Resource.set",
    ".v1.Task.container",
    ".v1.Task.health_check",
    ".v1.Task.check",
    ".v1.Task.discovery",
    ".v1.TaskStatus.check_status",
    ".v1.TaskStatus.container_status",
    ".v1.TaskInfo.container",
    ".v1.TaskInfo.health_check",
    ".v1.TaskInfo.check",
    ".v1.TaskInfo.discovery",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    stamp();

    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let root = Path::new("proto");
    let mut files = Vec::new();
    find_protos(root, &mut files)?;
    files.sort();

    let compiled = protox::compile(&files, [root])?;
    let fingerprint = fingerprint(&compiled);
    let model = model::Model::read(&compiled)?;
    let ours = model::into_crate_packages(compiled);

    let mut prost = prost_build::Config::new();
    prost.out_dir(&out).btree_map(["."]).compile_well_known_types();
    prost.extern_path(".v1.Labels", "crate::labels::Labels");
    for field in BOXED {
        prost.boxed(field);
    }
    prost.compile_fds(ours)?;

    fs::write(out.join("protocol.rs"), modules::render(&model))?;
    fs::write(out.join("binary.rs"), binary::render(&model)?)?;
    fs::write(out.join("serde.rs"), json::render(&model))?;
    fs::write(out.join("wire_messages.rs"), tables::render_wire_messages(&model))?;
    fs::write(out.join("tables.rs"), tables::render(&model, fingerprint))?;
    Ok(())
}

/// Tells `src/version.rs` when and by whom this was built; `SOURCE_DATE_EPOCH` makes it repeatable.
fn stamp() {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let time = std::env::var("SOURCE_DATE_EPOCH").unwrap_or_else(|_| {
        #[allow(clippy::disallowed_methods, reason = "a build has no node whose clock could be asked")]
        let now = std::time::SystemTime::now();
        now.duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_secs()).to_string()
    });
    println!("cargo::rustc-env=MESOS_BUILD_TIME={time}");
    println!("cargo::rustc-env=MESOS_BUILD_USER={}", std::env::var("USER").unwrap_or_default());
}

/// Every `.proto` file below `dir`.
fn find_protos(dir: &Path, found: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            find_protos(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    Ok(())
}

/// FNV-1a over the descriptors (without comments and positions, which no codec sees) and the codec
/// version. It is not a defence against anybody: it tells equal builds from unequal ones.
fn fingerprint(compiled: &prost_types::FileDescriptorSet) -> u64 {
    let mut stripped = compiled.clone();
    for file in &mut stripped.file {
        file.source_code_info = None;
    }
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let descriptors = stripped.encode_to_vec();
    for byte in descriptors.iter().copied().chain(CODEC_VERSION.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}
