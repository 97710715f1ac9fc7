import Filer
import Foundation
import HTTPClient
import LocalSystem

extension Settings {
    /// S3 from our own settings, or from the variables that every S3 program reads.
    func s3() throws -> S3Configuration {
        var s3 = S3Configuration()
        s3.endpoint = try endpoint("s3.endpoint", text("s3.endpoint", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
        s3.region = text("s3.region", "AWS_REGION", "AWS_DEFAULT_REGION") ?? s3.region
        s3.credentials = try s3Credentials()
        s3.usesPathStyle = try choice("s3.path_style", ["true", "false"]).map { $0 == "true" }
        do throws(FilerError) { s3.logins = try S3Login.list(list("s3.logins")) } catch {
            throw StartError(usage: "s3.logins: \(error)")
        }
        for login in s3.logins where (try? Folder(login.folder)) == nil {
            throw StartError(usage: "the folder \(login.folder) of s3.logins does not exist, or may not be read")
        }
        s3.webIdentity = try webIdentity(s3)
        return s3
    }

    /// A login whole from one place: our own settings, or the variables of AWS.
    private func s3Credentials() throws -> AWSCredentials? {
        let own = (text("s3.access_key"), text("s3.secret_key"), text("s3.session_token"))
        let others = (
            variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"), variable("AWS_SESSION_TOKEN")
        )
        // As everywhere the environment wins over the file.
        let isSet = variable("POIESIS_S3_ACCESS_KEY") != nil || variable("POIESIS_S3_SECRET_KEY") != nil
        let isOwn = isSet || others.0 == nil && others.1 == nil
        switch isOwn ? own : others {
        case (let access?, let secret?, let token):
            return AWSCredentials(
                accessKey: trimmed(access), secretKey: trimmed(secret), sessionToken: token.map(trimmed))
        case (nil, nil, _): return nil
        default:
            let names = isOwn ? "s3.access_key and s3.secret_key" : "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            throw StartError(usage: "\(names) belong together: one of them is missing")
        }
    }

    private func trimmed(_ text: String) -> String { text.trimmingCharacters(in: .whitespacesAndNewlines) }

    /// What no URL of a task reaches, whatever folders are allowed: logins, and what processes show of themselves.
    var secretPlaces: [String] {
        let files = [
            configurationFile, text("database_file"), text("registry.config"), text("tls.ca_file", "POIESIS_CA_FILE"),
            variable("AWS_WEB_IDENTITY_TOKEN_FILE"),
        ]
        let logins = list("s3.logins").compactMap { try? S3Login($0).folder }
        return logins + files.compactMap { $0 } + ["/proc"]
    }

    /// Reads all logins of storage, so that a server says at its start what is missing in them.
    func checkStorage() throws {
        let s3 = try s3()
        do throws(FilerError) { try s3.check() } catch { throw StartError(error.description) }
    }

    /// What the SDKs of AWS read: https://docs.aws.amazon.com/sdkref/latest/guide/access-assume-role-web.html.
    private func webIdentity(_ s3: S3Configuration) throws -> S3WebIdentity? {
        guard let tokenFile = variable("AWS_WEB_IDENTITY_TOKEN_FILE"), s3.credentials == nil else { return nil }
        guard let role = variable("AWS_ROLE_ARN") else {
            throw StartError(
                usage: "AWS_WEB_IDENTITY_TOKEN_FILE is set, but no role to assume with the token: set AWS_ROLE_ARN")
        }
        let given = try endpoint(
            "AWS_ENDPOINT_URL_STS", variable("AWS_ENDPOINT_URL_STS") ?? variable("AWS_ENDPOINT_URL"))
        // Other storage than Amazon's speaks STS at the same endpoint.
        let own = s3.endpoint.flatMap { $0.isAmazons ? nil : $0 }
        var identity = S3WebIdentity(
            role: role, tokenFile: tokenFile, endpoint: given ?? own ?? .amazon("sts", region: s3.region))
        identity.sessionName = variable("AWS_ROLE_SESSION_NAME") ?? identity.sessionName
        return identity
    }

    private func endpoint(_ name: String, _ text: String?) throws -> S3Endpoint? {
        guard let text else { return nil }
        guard let endpoint = S3Endpoint(text) else {
            throw StartError(usage: "\(name) must be https://HOST or https://HOST:PORT, without a path, not \(text)")
        }
        return endpoint
    }

    private func variable(_ name: String) -> String? { variables[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// Certificates that are trusted besides the system's.
    func authorities() throws -> RenewedAuthorities? {
        try text("tls.ca_file", "POIESIS_CA_FILE").map { file in
            do throws(AdditionalAuthorities.Unusable) { return try RenewedAuthorities(file: file) } catch {
                throw StartError("tls.ca_file: \(error)")
            }
        }
    }

    /// Folders that `file` URLs may reach; each has to exist.
    func fileRoots() throws -> [FileRoot] {
        try list("allow_files").map { argument in
            guard let root = FileRoot(argument: argument) else {
                throw StartError(
                    usage: "--allow-files takes an absolute path, DIR or DIR:ro or DIR:rw, not \(argument)")
            }
            guard (try? Folder(root.path)) != nil else {
                throw StartError(
                    usage:
                        "the folder \(root.path) of --allow-files does not exist; after a folder stands nothing, :ro or :rw"
                )
            }
            return root
        }
    }
}

extension AdditionalAuthorities {
    fileprivate static func reading(_ file: String) throws -> AdditionalAuthorities {
        do throws(Unusable) { return try AdditionalAuthorities(file: file) } catch {
            throw StartError("tls.ca_file: \(error)")
        }
    }

    /// Those of `tls.ca_file`, for commands that read no settings but variables.
    static func named(in environment: [String: String]) throws -> AdditionalAuthorities? {
        try ["POIESIS_TLS_CA_FILE", "POIESIS_CA_FILE"].compactMap { environment[$0] }.first { !$0.isEmpty }.map(reading)
    }
}
