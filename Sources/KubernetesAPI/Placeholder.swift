// Lets SwiftPM see a Swift target here; the sources are generated.
