use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig};

use streamgauge_testkit::require;
use streamgauge_testkit::s3::S3;

/// A store of the bucket a table's URI names, and the path of an object under that URI. It does not retry.
pub fn store_of(options: &[(String, String)], uri: &str, object: &str) -> (AmazonS3, Path) {
    let url = url::Url::parse(uri).unwrap();
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(url.host_str().unwrap())
        .with_client_options(ClientOptions::new().with_timeout(std::time::Duration::from_secs(1)))
        .with_retry(RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        });
    for (name, value) in options {
        builder = builder.with_config(name.parse().unwrap(), value);
    }
    (
        builder.build().unwrap(),
        Path::from(format!("{}/{object}", url.path().trim_start_matches('/'))),
    )
}

/// Puts an object unless there is one.
pub async fn create(store: &AmazonS3, path: &Path, content: &'static str) -> Result<(), Error> {
    store
        .put_opts(path, content.into(), PutOptions::from(PutMode::Create))
        .await
        .map(drop)
}

#[tokio::test]
async fn of_writers_that_race_to_create_an_object_exactly_one_wins() {
    let Some(s3) = require("S3", S3::shared()) else {
        return;
    };
    let (store, path) = store_of(
        &s3.storage_options(),
        &s3.table_uri("race"),
        "00000000000000000000.json",
    );
    for round in 0..20 {
        let path = path.clone().join(round.to_string());
        let writers = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|content| create(&store, &path, content));
        let outcomes = futures::future::join_all(writers).await;
        assert_eq!(
            outcomes.iter().filter(|outcome| outcome.is_ok()).count(),
            1,
            "{outcomes:?}"
        );
        assert!(
            outcomes
                .iter()
                .flat_map(|outcome| outcome.as_ref().err())
                .all(|error| { matches!(error, Error::AlreadyExists { .. }) })
        );
        let content = store.get(&path).await.unwrap().bytes().await.unwrap();
        let winner = outcomes.iter().position(Result::is_ok).unwrap();
        assert_eq!(content, ["a", "b", "c", "d", "e", "f", "g", "h"][winner]);
        assert!(s3.bucket_folder().join(path.as_ref()).is_file());
    }
}
