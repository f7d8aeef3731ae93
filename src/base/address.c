#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/decimal.h"

static_assert(ADDRESS_HOST_ROOM >= INET6_ADDRSTRLEN, "an IPv6 address fits");
static_assert(ADDRESS_PATH_ROOM == sizeof(((struct sockaddr_un *)0)->sun_path), "a path fits");
static_assert(ADDRESS_TEXT_ROOM > ADDRESS_PATH_ROOM, "any address fits as text");

static const char *address_parse_path(const char *text, struct address *address)
{
    if (strlen(text) >= ADDRESS_PATH_ROOM) {
        return "the path of a Unix socket is at most 107 bytes";
    }
    *address = (struct address){.kind = ADDRESS_UNIX};
    strcpy(address->path, text);
    return NULL;
}

/* Reads the first `host_len` bytes of `host`, and the port. */
static const char *address_parse_tcp(const char *host, size_t host_len, const char *port, bool six,
                                     struct address *address)
{
    struct address parsed = {.kind = ADDRESS_TCP};
    struct in6_addr binary;
    uint64_t number;

    if (decimal_parse_uint64(port, strlen(port), &number) != DECIMAL_OK || number > UINT16_MAX) {
        return "a port is a number from 0 to 65535";
    }
    if (host_len >= sizeof parsed.host) {
        return "expected an IP address, not a name";
    }
    parsed.port = (uint16_t)number;
    memcpy(parsed.host, host, host_len);
    if (inet_pton(six ? AF_INET6 : AF_INET, parsed.host, &binary) != 1) {
        return "expected an IP address, not a name";
    }
    *address = parsed;
    return NULL;
}

const char *address_parse(const char *text, struct address *address)
{
    if (strcmp(text, "off") == 0) {
        *address = (struct address){.kind = ADDRESS_NONE};
        return NULL;
    }
    if (text[0] == '/') {
        return address_parse_path(text, address);
    }

    bool six = text[0] == '[';
    const char *host = text + six;
    const char *end = six ? strchr(text, ']') : strchr(text, ':');

    if (end == NULL || end[six] != ':') {
        return "expected IP:PORT, [IPv6]:PORT or /PATH";
    }
    return address_parse_tcp(host, (size_t)(end - host), end + six + 1, six, address);
}

static bool address_is_six(const struct address *address)
{
    return strchr(address->host, ':') != NULL;
}

const char *address_format(const struct address *address, char out[ADDRESS_TEXT_ROOM])
{
    switch (address->kind) {
    case ADDRESS_TCP:
        snprintf(out, ADDRESS_TEXT_ROOM, address_is_six(address) ? "[%s]:%u" : "%s:%u",
                 address->host, (unsigned)address->port);
        break;
    case ADDRESS_UNIX:
        snprintf(out, ADDRESS_TEXT_ROOM, "%s", address->path);
        break;
    case ADDRESS_NONE:
        snprintf(out, ADDRESS_TEXT_ROOM, "off");
        break;
    }
    return out;
}

bool address_equal(const struct address *a, const struct address *b)
{
    return a->kind == b->kind && a->port == b->port && strcmp(a->host, b->host) == 0 &&
           strcmp(a->path, b->path) == 0;
}

bool address_is_local(const struct address *address)
{
    struct in6_addr six;
    struct in_addr four;

    if (address->kind != ADDRESS_TCP) {
        return true;
    }
    if (inet_pton(AF_INET, address->host, &four) == 1) {
        return ntohl(four.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    return inet_pton(AF_INET6, address->host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

socklen_t address_to_sockaddr(const struct address *address, struct sockaddr_storage *out)
{
    assert(address->kind != ADDRESS_NONE);
    memset(out, 0, sizeof *out);

    if (address->kind == ADDRESS_UNIX) {
        struct sockaddr_un *un = (struct sockaddr_un *)out;

        un->sun_family = AF_UNIX;
        strcpy(un->sun_path, address->path);
        return sizeof *un;
    }
    if (address_is_six(address)) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(address->port);
        int ok = inet_pton(AF_INET6, address->host, &in6->sin6_addr);
        assert(ok == 1);
        return sizeof *in6;
    }

    struct sockaddr_in *in = (struct sockaddr_in *)out;

    in->sin_family = AF_INET;
    in->sin_port = htons(address->port);
    int ok = inet_pton(AF_INET, address->host, &in->sin_addr);
    assert(ok == 1);
    return sizeof *in;
}
