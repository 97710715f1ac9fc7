import HTTPTypes
import Hummingbird
import Logging
import TES

/// Every error gets the JSON body; what nobody expected is logged and answered without its internals.
struct ErrorMiddleware: RouterMiddleware {
    @concurrent func handle(
        _ request: Request, context: TESRequestContext,
        next: @concurrent (Request, TESRequestContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            let answer = ErrorAnswer(error)
            if answer.status.code >= 500 {
                context.logger.error(
                    "a request failed", metadata: ["path": "\(request.uri.path)", "reason": "\(error)"])
            }
            return answer.response
        }
    }
}

/// A path that no route serves with this method: OPTIONS, 405 or 404.
struct FallbackMiddleware: RouterMiddleware {
    /// Path patterns with their methods; `*` stands for any text within a segment.
    let paths: [(pattern: String, methods: [String])]

    @concurrent func handle(
        _ request: Request, context: TESRequestContext,
        next: @concurrent (Request, TESRequestContext) async throws -> Response
    ) async throws -> Response {
        let methods = methods(request.uri.path)
        if request.method == .options, !methods.isEmpty {
            return Response(status: .noContent, headers: [.allow: (methods + ["OPTIONS"]).joined(separator: ", ")])
        }
        do {
            return try await next(request, context)
        } catch let error as any HTTPResponseError where error.status == .notFound {
            if methods.isEmpty { throw APIError.notFound("there is nothing at \(request.uri.path.prefix(200))") }
            if methods.contains(request.method.rawValue) { throw error }
            throw APIError.methodNotAllowed(methods + ["OPTIONS"])
        }
    }

    private func methods(_ path: String) -> [String] {
        let segments = path.split(separator: "/")
        var found: [String] = []
        for (pattern, methods) in paths where Self.matches(pattern.split(separator: "/"), segments) {
            for method in methods where !found.contains(method) { found.append(method) }
            // The most particular pattern comes first and stands alone.
            return found
        }
        return found
    }

    private static func matches(_ pattern: [Substring], _ path: [Substring]) -> Bool {
        guard pattern.count == path.count else { return false }
        return zip(pattern, path).allSatisfy { pattern, segment in
            guard pattern.hasPrefix("*") else { return pattern == segment }
            let suffix = pattern.dropFirst()
            let text =
                suffix.contains(":")
                ? String(segment).replacing("%3A", with: ":").replacing("%3a", with: ":") : String(segment)
            return text.hasSuffix(suffix) && text.count > suffix.count
        }
    }
}
