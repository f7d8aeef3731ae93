/* Addresses. */
#include "base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "unit.h"

/* 108 bytes: one more than a Unix socket's path may have. */
#define TEN "/123456789"
#define LONG_PATH TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "/1234567"

static struct address parse(const char *text)
{
    struct address address;
    const char *wrong = address_parse(text, &address);

    ck_assert_msg(wrong == NULL, "%s: %s", text, wrong);
    return address;
}

START_TEST(reads_and_writes_every_form)
{
    static const char *const texts[] = {"127.0.0.1:6480", "0.0.0.0:0", "[::1]:65535",
                                        "[fe80::1]:80",   "off",       "/run/ballast.sock"};
    char out[ADDRESS_TEXT_ROOM];

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct address address = parse(texts[i]);
        struct address again = parse(address_format(&address, out));

        ck_assert_str_eq(out, texts[i]);
        ck_assert(address_equal(&address, &again));
    }
}
END_TEST

START_TEST(refuses_other_forms_and_leaves_the_address)
{
    static const char *const texts[] = {
        "",
        "localhost:6480",
        "127.0.0.1",
        "127.0.0.1:",
        ":6480",
        "127.0.0.1:65536",
        "127.0.0.1:x",
        "127.0.0.1:-1",
        "127.0.0.1: 1",
        "256.0.0.1:1",
        "::1:1",
        "[::1]",
        "[::1]6480",
        "[127.0.0.1]:1",
        "1.2.3:1",
        "127.0.0.1:01",
        "relative.sock",
        "[::1:6480",
        "Off",
        "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:00]:1",
        LONG_PATH,
    };
    struct address address = parse("1.2.3.4:5"), before = address;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        ck_assert_msg(address_parse(texts[i], &address) != NULL, "'%s'", texts[i]);
        ck_assert(address_equal(&address, &before));
    }
}
END_TEST

START_TEST(knows_what_only_this_machine_can_reach)
{
    static const char *const local[] = {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "/x", "off"};
    static const char *const open[] = {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "128.0.0.1:1",
                                       "[::ffff:127.0.0.1]:1"};

    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        struct address address = parse(local[i]);

        ck_assert_msg(address_is_local(&address), "%s", local[i]);
    }
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        struct address address = parse(open[i]);

        ck_assert_msg(!address_is_local(&address), "%s", open[i]);
    }
}
END_TEST

START_TEST(becomes_a_socket_address)
{
    struct sockaddr_storage out;
    struct address address = parse("127.0.0.1:6480");

    ck_assert_uint_eq(address_to_sockaddr(&address, &out), sizeof(struct sockaddr_in));
    ck_assert_uint_eq(ntohs(((struct sockaddr_in *)&out)->sin_port), 6480);
    ck_assert_uint_eq(ntohl(((struct sockaddr_in *)&out)->sin_addr.s_addr), INADDR_LOOPBACK);
    address = parse("[::1]:6480");
    ck_assert_uint_eq(address_to_sockaddr(&address, &out), sizeof(struct sockaddr_in6));
    ck_assert_uint_eq(ntohs(((struct sockaddr_in6 *)&out)->sin6_port), 6480);
    ck_assert(IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&out)->sin6_addr));
    address = parse("/run/x.sock");
    ck_assert_uint_eq(address_to_sockaddr(&address, &out), sizeof(struct sockaddr_un));
    ck_assert_int_eq(out.ss_family, AF_UNIX);
    ck_assert_str_eq(((struct sockaddr_un *)&out)->sun_path, "/run/x.sock");
}
END_TEST

UNIT_MAIN("address", reads_and_writes_every_form, refuses_other_forms_and_leaves_the_address,
          knows_what_only_this_machine_can_reach, becomes_a_socket_address)
