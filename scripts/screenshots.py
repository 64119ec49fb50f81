"""Takes the README's screenshots from a running Dagster UI, through headless Chromium.

Start `make dev`, wait until the samples are read, then:

    pip install playwright            # its own browser is not needed
    python scripts/screenshots.py http://127.0.0.1:3000 docs
"""

import json
import sys
import urllib.request
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
LATEST_RUN = (
    '{runsOrError(limit: 1, filter: {statuses: [SUCCESS], pipelineName: "ocr_job"}) {... on Runs {results {runId}}}}'
)


def main() -> None:
    """Take each picture."""
    base, folder = sys.argv[1].rstrip("/"), Path(sys.argv[2])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 760})
        take(page, f"{base}/asset-groups", folder / "lineage.png")
        take(page, f"{base}/assets/ocr_text?view=overview", folder / "asset.png")
        take(page, f"{base}/runs/{latest_run(base)}", folder / "run.png")
        browser.close()


def take(page: Page, url: str, target: Path) -> None:
    """Open a page of the UI, wait until it has settled, and save what is seen."""
    page.goto(url)
    page.wait_for_timeout(9000)  # the UI polls for ever, so there is no idle moment to wait for
    page.screenshot(path=target)
    print(f"{target}: {page.title()}")


def latest_run(base: str) -> str:
    """Return the newest successful OCR run."""
    question = json.dumps({"query": LATEST_RUN}).encode()
    request = urllib.request.Request(  # noqa: S310 - the address is the operator's own
        f"{base}/graphql", question, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return str(json.load(answer)["data"]["runsOrError"]["results"][0]["runId"])


if __name__ == "__main__":
    main()
