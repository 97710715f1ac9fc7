import HTTPClient
import LocalSystem

/// What a login is for.
package enum S3Scope: Hashable, Sendable, CustomStringConvertible {
    /// All that no other login is for.
    case everything
    case endpoint(S3Endpoint)
    case bucket(String)

    package var description: String {
        switch self {
        case .everything: "everything"
        case .endpoint(let endpoint): endpoint.description
        case .bucket(let name): "s3://\(name)"
        }
    }
}

/// A folder with a login of S3 storage, such as a mounted Secret: files `access_key`, `secret_key` and, if wanted, `session_token`,
/// `endpoint`, `region`, `path_style`.
package struct S3Login: Hashable, Sendable {
    package var folder: String
    package var scope: S3Scope

    package init(folder: String, scope: S3Scope) {
        self.folder = folder
        self.scope = scope
    }

    /// Reads `FOLDER`, `FOLDER=https://ENDPOINT` or `FOLDER=s3://BUCKET`.
    package init(_ text: String) throws(FilerError) {
        let halves = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let wrong = FilerError("\(text) is no login: write FOLDER, FOLDER=https://HOST or FOLDER=s3://BUCKET")
        guard let folder = halves.first, folder.hasPrefix("/") else {
            throw FilerError("\(text) is no login: its folder must be an absolute path")
        }
        self.folder = folder
        guard halves.count == 2 else {
            scope = .everything
            return
        }
        var name = halves[1]
        if name.hasPrefix("s3://") {
            name.removeFirst("s3://".count)
            if name.hasSuffix("/") { name.removeLast() }
            guard Self.isBucket(name) else { throw wrong }
            scope = .bucket(name)
        } else {
            guard name.contains("://"), let endpoint = S3Endpoint(name) else { throw wrong }
            scope = .endpoint(endpoint)
        }
    }

    /// Whether a text can be a bucket's name, in the widest sense that storage has; no host can be made of one.
    static func isBucket(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"):
                true
            default: false
            }
        }
        guard let first = bytes.first, let last = bytes.last, bytes.count <= 255, isAlphanumeric(first),
            isAlphanumeric(last), !name.contains("..")
        else { return false }
        return bytes.allSatisfy { isAlphanumeric($0) || ".-_".utf8.contains($0) }
    }

    /// Reads several, of which no two may be for the same.
    package static func list(_ texts: [String]) throws(FilerError) -> [S3Login] {
        var logins: [S3Login] = []
        for text in texts {
            let login = try S3Login(text)
            if let other = logins.first(where: { $0.scope == login.scope }) {
                throw FilerError(
                    "\(other.folder) and \(login.folder) are both for \(login.scope): keep one, or give the other a scope, FOLDER=s3://BUCKET or FOLDER=https://HOST"
                )
            }
            logins.append(login)
        }
        return logins
    }

    // MARK: The folder

    /// What the folder says; what it leaves unsaid is as for everything else, but of another endpoint only the region.
    func read(besides configuration: S3Configuration) throws(FilerError) -> S3Access {
        var files = try read()
        if files == nil { files = try read() }
        guard let files else { throw FilerError("the login in \(folder) changes all the time", isTransient: true) }
        var access = configuration.access
        if let endpoint = try files.endpoint(of: self) {
            if endpoint != access.server { access.usesPathStyle = nil }
            access.endpoint = endpoint
        }
        access.region = files.texts["region"] ?? access.region
        switch files.texts["path_style"] {
        case nil: break
        case "true": access.usesPathStyle = true
        case "false": access.usesPathStyle = false
        default: throw FilerError("\(folder)/path_style must hold true or false")
        }
        access.credentials = AWSCredentials(
            accessKey: try files.required("access_key", in: folder),
            secretKey: try files.required("secret_key", in: folder), sessionToken: files.texts["session_token"])
        return access
    }

    /// The storage that the login is for, whatever becomes of its keys; nil where the folder does not tell now.
    func server(besides configuration: S3Configuration) -> S3Endpoint? {
        guard let files = (try? read(["endpoint", "region"])) ?? nil else { return nil }
        var access = configuration.access
        do throws(FilerError) { access.endpoint = try files.endpoint(of: self) ?? access.endpoint } catch { return nil }
        access.region = files.texts["region"] ?? access.region
        return access.server
    }

    private struct Files {
        var texts: [String: String] = [:]

        func required(_ name: String, in folder: String) throws(FilerError) -> String {
            guard let text = texts[name] else {
                throw FilerError(
                    "the S3 login in \(folder) has no \(name): write the file \(folder)/\(name), or that entry of its Secret",
                    isTransient: true)
            }
            return text
        }

        func endpoint(of login: S3Login) throws(FilerError) -> S3Endpoint? {
            guard let text = texts["endpoint"] else {
                if case .endpoint(let endpoint) = login.scope { return endpoint }
                return nil
            }
            guard let endpoint = S3Endpoint(text) else {
                throw FilerError("\(login.folder)/endpoint must hold https://HOST or https://HOST:PORT, without a path")
            }
            return endpoint
        }
    }

    /// The files that say something; nil where the folder was replaced meanwhile.
    private func read(
        _ names: [String] = ["access_key", "secret_key", "session_token", "endpoint", "region", "path_style"]
    ) throws(FilerError) -> Files? {
        // Kubernetes replaces all files at once by another target of this link.
        let current = try? resolvedPath(folder + "/..data")
        var files = Files()
        for name in names {
            let path = folder + "/" + name
            let text: String
            do throws(FileError) { text = try smallText((current ?? folder) + "/" + name) } catch {
                if error.isMissing { continue }
                throw FilerError("\(path) cannot be read: \(error.reason)", isTransient: true)
            }
            guard text.utf8.allSatisfy({ $0 >= 32 && $0 != 127 }) else {
                throw FilerError("\(path) must hold one line of text")
            }
            if !text.isEmpty { files.texts[name] = text }
        }
        return (try? resolvedPath(folder + "/..data")) == current ? files : nil
    }
}

/// The text of a small file, without the end of its last line; links are followed.
func smallText(_ path: String) throws(FileError) -> String {
    var text = String(decoding: try LocalFile.reading(path).read(1 << 16), as: UTF8.self)
    while text.last?.isNewline == true { text.removeLast() }
    return text
}
