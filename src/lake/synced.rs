//! A local disk whose files are durable before they count.
//!
//! `object_store` writes and renames a file and leaves it to the system when both reach the disk. After a
//! power cut, a log entry may exist whose data files are empty. This store syncs a file's content before it
//! gets its name, and its folder after: visible files are whole, and acknowledged files stay.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path as FilePath, PathBuf};

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use thiserror::Error as ThisError;
use uuid::Uuid;

use super::error::{NO_HARD_LINKS, is_no_hard_link};

/// The local disk: read by `object_store`, written durably.
#[derive(Debug, Default)]
pub(super) struct SyncedDisk {
    disk: LocalFileSystem,
}

/// A file system that cannot create a name only if it is free. The cause is text: of a chain of errors the store's are told by
/// their last.
#[derive(Debug, ThisError)]
#[error("{NO_HARD_LINKS} ({0})")]
pub(super) struct NoHardLinks(String);

const STORE: &str = "LocalFileSystem";

/// Answers of some network file systems to syncing a folder.
const EBADF: i32 = 9;

impl SyncedDisk {
    async fn put(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if matches!(options.mode, PutMode::Update(_)) || !options.attributes.is_empty() {
            return self.disk.put_opts(location, payload, options).await;
        }
        let path = self.disk.path_to_filesystem(location)?;
        let is_new = matches!(options.mode, PutMode::Create);
        blocking(move || write(&path, &payload, is_new)).await?;
        Ok(PutResult {
            e_tag: None,
            version: None,
        })
    }

    /// Parts collect under a name that table readers skip, in the same folder.
    async fn put_parts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let target = self.disk.path_to_filesystem(location)?;
        let name = location.filename().unwrap_or_default();
        let hidden = Path::from_iter(
            location
                .parent()
                .iter()
                .flat_map(Path::parts)
                .chain([format!(".{name}.{}", Uuid::new_v4()).into()]),
        );
        let staged = self.disk.path_to_filesystem(&hidden)?;
        if let Some(folder) = target.parent() {
            let folder = folder.to_owned();
            blocking(move || make_folder(&folder).map_err(generic)).await?;
        }
        let parts = self.disk.put_multipart_opts(&hidden, options).await?;
        Ok(Box::new(SyncedParts {
            parts,
            staged,
            target,
        }))
    }

    async fn copy(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let target = self.disk.path_to_filesystem(to)?;
        self.disk.copy_opts(from, to, options).await?;
        blocking(move || {
            let synced = File::open(&target).and_then(|file| file.sync_all());
            synced.and_then(|()| sync_folder_of(&target)).map_err(generic)
        })
        .await
    }
}

/// A multipart upload.
#[derive(Debug)]
struct SyncedParts {
    parts: Box<dyn MultipartUpload>,
    staged: PathBuf,
    target: PathBuf,
}

impl SyncedParts {
    async fn finish(&mut self) -> Result<PutResult> {
        let result = self.parts.complete().await?;
        let (staged, target) = (self.staged.clone(), self.target.clone());
        blocking(move || {
            let synced = File::open(&staged).and_then(|file| file.sync_all());
            let named = synced.and_then(|()| std::fs::rename(&staged, &target));
            if named.is_err() {
                let _ = std::fs::remove_file(&staged);
            }
            named.and_then(|()| sync_folder_of(&target)).map_err(generic)
        })
        .await?;
        Ok(result)
    }
}

impl MultipartUpload for SyncedParts {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts.put_part(data)
    }

    fn complete<'a, 'b>(&'a mut self) -> BoxFuture<'b, Result<PutResult>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.finish())
    }

    fn abort<'a, 'b>(&'a mut self) -> BoxFuture<'b, Result<()>>
    where
        'a: 'b,
        Self: 'b,
    {
        self.parts.abort()
    }
}

/// Writes a file under a temporary name, syncs it, renames it, and syncs the folder.
fn write(path: &FilePath, payload: &PutPayload, is_new: bool) -> Result<()> {
    let (mut file, staged) = stage(path).map_err(generic)?;
    let written = payload.iter().try_for_each(|bytes| file.write_all(bytes));
    let synced = written.and_then(|()| file.sync_all()).map_err(generic);
    // Some network file systems start their upload when a file is closed.
    drop(file);
    let named = synced.and_then(|()| match is_new {
        true => link(&staged, path),
        false => std::fs::rename(&staged, path).map_err(generic),
    });
    if is_new || named.is_err() {
        let _ = std::fs::remove_file(&staged);
    }
    named?;
    sync_folder_of(path).map_err(generic)
}

/// A file with a name that `object_store` never lists: `name#1`.
fn stage(path: &FilePath) -> io::Result<(File, PathBuf)> {
    let mut number = 1_u32;
    loop {
        let mut staged = path.as_os_str().to_owned();
        staged.push(format!("#{number}"));
        let staged = PathBuf::from(staged);
        match OpenOptions::new().write(true).create_new(true).open(&staged) {
            Ok(file) => return Ok((file, staged)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) if error.kind() == ErrorKind::NotFound => match path.parent() {
                Some(folder) if !folder.exists() => make_folder(folder)?,
                _ => return Err(error),
            },
            Err(error) => return Err(error),
        }
    }
}

/// Links a file to its name if the name is free. This makes a version of the table belong to one writer.
fn link(staged: &FilePath, path: &FilePath) -> Result<()> {
    std::fs::hard_link(staged, path).map_err(|source| match source.kind() {
        ErrorKind::AlreadyExists => Error::AlreadyExists {
            path: path.display().to_string(),
            source: Box::new(source),
        },
        _ if is_no_hard_link(&source) => Error::Generic {
            store: STORE,
            source: Box::new(NoHardLinks(source.to_string())),
        },
        _ => generic(source),
    })
}

/// Creates a folder with its parents, all durable on return.
pub(super) fn make_folder(folder: &FilePath) -> io::Result<()> {
    let missing: Vec<&FilePath> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    std::fs::create_dir_all(folder)?;
    missing.into_iter().try_for_each(sync_folder_of)
}

fn sync_folder_of(path: &FilePath) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    match File::open(folder)?.sync_all() {
        // Not every file system can sync a folder, and there is no alternative.
        Err(error)
            if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported)
                || error.raw_os_error() == Some(EBADF) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

fn generic(source: io::Error) -> Error {
    Error::Generic {
        store: STORE,
        source: Box::new(source),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|source| Err(Error::JoinError { source }))
}

impl fmt::Display for SyncedDisk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.disk.fmt(formatter)
    }
}

impl ObjectStore for SyncedDisk {
    fn get_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        options: GetOptions,
    ) -> BoxFuture<'c, Result<GetResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.disk.get_opts(location, options)
    }

    fn put_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> BoxFuture<'c, Result<PutResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(self.put(location, payload, options))
    }

    fn put_multipart_opts<'a, 'b, 'c>(
        &'a self,
        location: &'b Path,
        options: PutMultipartOptions,
    ) -> BoxFuture<'c, Result<Box<dyn MultipartUpload>>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(self.put_parts(location, options))
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.disk.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.disk.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.disk.list_with_offset(prefix, offset)
    }

    fn list_with_delimiter<'a, 'b, 'c>(
        &'a self,
        prefix: Option<&'b Path>,
    ) -> BoxFuture<'c, Result<ListResult>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.disk.list_with_delimiter(prefix)
    }

    fn copy_opts<'a, 'b, 'c, 'd>(
        &'a self,
        from: &'b Path,
        to: &'c Path,
        options: CopyOptions,
    ) -> BoxFuture<'d, Result<()>>
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
        Self: 'd,
    {
        Box::pin(self.copy(from, to, options))
    }
}
