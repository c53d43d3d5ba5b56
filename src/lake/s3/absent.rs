//! Detects missing objects for principals that may list only some prefixes of a bucket.
//!
//! S3 returns 404 for a missing object only to principals with ListBucket. A role that may list certain
//! prefixes gets 403, because a request for one object has no prefix for the role's condition. A listing of
//! the object's folder, which such a role may request, shows whether the object exists.

use std::fmt;

use futures::TryStreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::{Refusal, RefusalKind};

/// S3, with a listing where it does not say whether an object exists.
#[derive(Debug)]
pub(super) struct Listed {
    store: AmazonS3,
}

impl Listed {
    pub(super) fn new(store: AmazonS3) -> Self {
        Listed { store }
    }

    async fn get(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let refused = match self.store.get_opts(location, options.clone()).await {
            Err(error @ Error::PermissionDenied { .. }) if is_denied(&error) => error,
            answer => return answer,
        };
        match self.is_listed(location).await {
            // It may have been created meanwhile.
            Ok(true) => self.store.get_opts(location, options).await,
            Ok(false) => Err(Error::NotFound {
                path: location.to_string(),
                source: Box::new(refused),
            }),
            // Without ListBucket the answer is unknowable, so report the missing permission.
            Err(unlisted) if is_denied(&unlisted) => Err(unlisted),
            Err(_) => Err(refused),
        }
    }

    async fn is_listed(&self, location: &Path) -> Result<bool> {
        let name = location.as_ref();
        let shorter = name.char_indices().last().map_or("", |(end, _)| &name[..end]);
        // A listing starts after its offset, so this one starts at the name or slightly before it.
        let offset = Path::parse(shorter)?;
        let mut listing = self.store.list_with_offset(location.parent().as_ref(), &offset);
        while let Some(found) = listing.try_next().await? {
            if found.location >= *location {
                return Ok(found.location == *location);
            }
        }
        Ok(false)
    }
}

fn is_denied(error: &Error) -> bool {
    Refusal::of(&error.to_string()).is_some_and(|refusal| refusal.kind == RefusalKind::Denied)
}

impl fmt::Display for Listed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(formatter)
    }
}

impl ObjectStore for Listed {
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
        Box::pin(self.get(location, options))
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
        self.store.put_opts(location, payload, options)
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
        self.store.put_multipart_opts(location, options)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list_with_offset(prefix, offset)
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
        self.store.list_with_delimiter(prefix)
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
        self.store.copy_opts(from, to, options)
    }
}
