"""The page of one running meter: `ams run --web 8080`. See docs/web.md."""
