package import LocalSystem
package import TaskCore

/// Why something could not be staged or uploaded, in words its author can act on.
package struct FilerError: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String
    /// Whether the same transfer may work a little later.
    package var isTransient = false
    package var isDiskFull = false

    package init(_ description: String, isTransient: Bool = false, isDiskFull: Bool = false) {
        self.description = description
        self.isTransient = isTransient
        self.isDiskFull = isDiskFull
    }

    init(_ error: FileError) { self.init(error.description, isDiskFull: error.isDiskFull) }
}

/// One thing in a remote directory.
package struct RemoteEntry: Hashable, Sendable {
    /// Below the directory, without a leading slash.
    package var path: String
    package var isDirectory: Bool

    package init(path: String, isDirectory: Bool) {
        self.path = path
        self.isDirectory = isDirectory
    }
}

/// A local file to upload, with what was computed on the way.
package struct UploadSource: Sendable {
    package var file: LocalFile
    /// In bytes.
    package var size: Int64
    /// SHA-256 of the content in hexadecimal.
    package var sha256: String
}

/// One kind of storage. A new scheme is a new file with one of these, and a line in ``Filer/standard(_:)``.
///
/// Each call makes one try; the transfer engine repeats what failed with a transient error.
package protocol FilerStrategy: Sendable {
    /// In lower case.
    var schemes: Set<String> { get }
    /// URL prefixes that it serves, for service-info.
    var storage: [String] { get }
    /// Whether a URL of one of the ``schemes``, or another's, is its own; the first strategy that says so has it.
    func serves(_ url: RemoteURL) -> Bool
    /// Fills an empty local file with what is behind a URL.
    func download(_ url: RemoteURL, to file: LocalFile, for principal: Principal) async throws(FilerError)
    /// Everything below a URL, at any depth.
    func list(_ url: RemoteURL, for principal: Principal) async throws(FilerError) -> [RemoteEntry]
    /// Puts a local file behind a URL; whoever looks sees the old object or the whole new one.
    func upload(_ source: UploadSource, to url: RemoteURL, for principal: Principal) async throws(FilerError)
    /// Makes an empty directory, where the storage has such a thing.
    func makeDirectory(_ url: RemoteURL, for principal: Principal) async throws(FilerError)
}

extension FilerStrategy {
    package func serves(_ url: RemoteURL) -> Bool { schemes.contains(url.scheme) }
}
