#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod edit;
mod file_name;
mod legacy;
mod level;
mod manifest;
mod run;
mod state;
#[cfg(test)]
mod testing;
mod version;

pub use edit::{Ceilings, EditError, VersionEdit};
pub use file_name::{
    FileKind, LEGACY_LOG_FILE_NAME, LOCK_FILE_NAME, MANIFEST_FILE_NAME, MANIFEST_TEMP_FILE_NAME,
    RUN_ID_MAX, RunId, parse_run_file_name, run_file_name, run_sidecar_file_name,
    run_sidecar_temp_file_name, run_temp_file_name, run_unnamed_file_name,
};
pub use legacy::{LegacyManifest, LegacyManifestError};
pub use level::Level;
pub use manifest::{
    CommitError, Identity, KEY_BYTES_IN_MANIFEST_MAX, LoadError, Manifest, ResolveKeys,
    UnresolvedRun,
};
pub use run::RunMeta;
pub use state::ManifestState;
pub use version::{InvariantViolation, LEVEL_COUNT_MAX, Version};
