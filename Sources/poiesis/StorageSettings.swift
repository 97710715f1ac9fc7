import Filer
import HTTPClient
import LocalSystem

extension Settings {
    /// S3 from our own settings, or from the variables that every S3 program reads.
    func s3() throws -> S3Configuration {
        var s3 = S3Configuration()
        s3.endpoint = text("s3.endpoint", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        s3.region = text("s3.region", "AWS_REGION", "AWS_DEFAULT_REGION") ?? s3.region
        if let access = text("s3.access_key", "AWS_ACCESS_KEY_ID"),
            let secret = text("s3.secret_key", "AWS_SECRET_ACCESS_KEY")
        {
            s3.credentials = AWSCredentials(
                accessKey: access, secretKey: secret, sessionToken: text("s3.session_token", "AWS_SESSION_TOKEN"))
        }
        s3.usesPathStyle = try choice("s3.path_style", ["true", "false"]).map { $0 == "true" }
        return s3
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
