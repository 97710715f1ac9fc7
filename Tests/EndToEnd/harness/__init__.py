"""What the end-to-end tests stand on: real servers, a real engine, real storage. Nothing here knows a single test."""
