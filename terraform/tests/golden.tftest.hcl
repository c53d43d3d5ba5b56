# What the hosts are given, to the letter. After a change that is meant: tests/terraform/check.sh --update-golden.

mock_provider "aws" {
  source = "./tests/mocks"
}

run "golden" {
  module {
    source = "./tests/fixture"
  }

  assert {
    condition     = toset(keys(output.files)) == fileset("tests/golden", "**")
    error_message = "There are other files than in tests/golden: ${join(", ", setsubtract(setunion(keys(output.files), fileset("tests/golden", "**")), setintersection(keys(output.files), fileset("tests/golden", "**"))))}."
  }

  assert {
    condition     = alltrue([for path, text in output.files : try(text == file("tests/golden/${path}"), false)])
    error_message = "These differ from tests/golden: ${join(", ", [for path, text in output.files : path if !try(text == file("tests/golden/${path}"), false)])}."
  }

  assert {
    condition     = alltrue([for path, text in output.files : length(text) < 16384 if endswith(path, "user-data.sh")])
    error_message = "User-data has room for 16 KB."
  }
}
