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
    /// Path patterns as segments, with their methods, the most particular first; `*` stands for any text within a segment.
    private let paths: [(pattern: [Substring], methods: [String])]

    init(paths: [(pattern: String, methods: [String])]) {
        self.paths = paths.map { ($0.pattern.split(separator: "/"), $0.methods) }
    }

    @concurrent func handle(
        _ request: Request, context: TESRequestContext,
        next: @concurrent (Request, TESRequestContext) async throws -> Response
    ) async throws -> Response {
        if request.method == .options {
            let methods = methods(request.uri.path)
            if !methods.isEmpty {
                return Response(status: .noContent, headers: [.allow: (methods + ["OPTIONS"]).joined(separator: ", ")])
            }
        }
        do {
            return try await next(request, context)
        } catch let error as any HTTPResponseError where error.status == .notFound {
            let methods = methods(request.uri.path)
            if methods.isEmpty { throw APIError.notFound("there is nothing at \(request.uri.path.prefix(200))") }
            if methods.contains(request.method.rawValue) { throw error }
            throw APIError.methodNotAllowed(methods + ["OPTIONS"])
        }
    }

    private func methods(_ path: String) -> [String] {
        let segments = path.split(separator: "/")
        return paths.first { Self.matches($0.pattern, segments) }?.methods ?? []
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
