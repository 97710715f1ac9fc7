#include <curl/curl.h>
#include <fcntl.h>

/* curl_easy_setopt and curl_easy_getinfo are variadic, which Swift cannot call: one wrapper for each argument type. */
static inline CURLcode poiesis_curl_set_long(CURL *handle, CURLoption option, long value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode poiesis_curl_set_offset(CURL *handle, CURLoption option, curl_off_t value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode poiesis_curl_set_string(CURL *handle, CURLoption option, const char *value) {
    return curl_easy_setopt(handle, option, value);
}
static inline CURLcode poiesis_curl_set_pointer(CURL *handle, CURLoption option, void *value) {
    return curl_easy_setopt(handle, option, value);
}
/* libcurl keeps a copy of the bytes. */
static inline CURLcode poiesis_curl_set_blob(CURL *handle, CURLoption option, const void *bytes, size_t count) {
    struct curl_blob blob = {(void *)bytes, count, CURL_BLOB_COPY};
    return curl_easy_setopt(handle, option, &blob);
}
typedef size_t (*poiesis_curl_data_callback)(char *, size_t, size_t, void *);
static inline CURLcode poiesis_curl_set_callback(CURL *handle, CURLoption option, poiesis_curl_data_callback value) {
    return curl_easy_setopt(handle, option, value);
}
/* Sockets are not for programs that are started meanwhile: libcurl leaves them open. */
static inline int poiesis_curl_close_on_exec(void *context, curl_socket_t socket, curlsocktype purpose) {
    (void)context;
    (void)purpose;
    fcntl(socket, F_SETFD, FD_CLOEXEC);
    return CURL_SOCKOPT_OK;
}
static inline CURLcode poiesis_curl_set_close_on_exec(CURL *handle) {
    return curl_easy_setopt(handle, CURLOPT_SOCKOPTFUNCTION, poiesis_curl_close_on_exec);
}
typedef int (*poiesis_curl_seek_callback)(void *, curl_off_t, int);
static inline CURLcode poiesis_curl_set_seek_callback(CURL *handle, poiesis_curl_seek_callback value) {
    return curl_easy_setopt(handle, CURLOPT_SEEKFUNCTION, value);
}
static inline CURLcode poiesis_curl_get_long(CURL *handle, CURLINFO info, long *value) {
    return curl_easy_getinfo(handle, info, value);
}
static inline CURLcode poiesis_curl_get_pointer(CURL *handle, CURLINFO info, void **value) {
    return curl_easy_getinfo(handle, info, value);
}
