#include "wire.h"

#include <microhttpd.h>
#include <sys/socket.h>

enum {
    BLOCK_BYTES = 64 * 1024,
    DRIP_BYTES = 1000,
    DRIP_MS = 100,
    LENGTH_BYTES = 100,
    US_PER_MS = 1000,
    HEADER = 10
};

int64_t trouble_ms(const Trouble *trouble, int64_t fallback)
{
    return trouble->ms >= 0 ? trouble->ms : fallback;
}

void wire_reset(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    // Disconnecting a stream socket by AF_UNSPEC makes Linux send a RST at once; SO_LINGER would
    // come too late, since libmicrohttpd shuts the socket down (FIN) before it closes it.
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    if (info != NULL)
        (void)connect(info->connect_fd, &nobody, sizeof(nobody));
}

void wire_break_gzip(Str packed)
{
    char *bytes = (char *)(uintptr_t)packed.data; // the packer's own
    for (size_t i = packed.size / 2; i < packed.size && i < packed.size / 2 + LENGTH_BYTES; i++)
        bytes[i] = (char)~bytes[i];
    if (packed.size > HEADER) // small ones have no middle: the checksum is wrong as well
        bytes[packed.size - 5] = (char)~bytes[packed.size - 5];
}

// How many bytes are sent before it breaks off.
static size_t break_at(const Wire *wire)
{
    const int64_t bytes = wire->trouble.bytes;
    const size_t at = bytes >= 0 ? (size_t)bytes : wire->body.size / 2;
    return at < wire->body.size ? at : wire->body.size;
}

static size_t copy(const Wire *wire, uint64_t position, char *room, size_t size, size_t end)
{
    if (size > end - position)
        size = end - (size_t)position;
    memcpy(room, wire->body.data + position, size);
    return size;
}

static ssize_t read_until_break(void *state, uint64_t position, char *room, size_t size)
{
    const Wire *wire = state;
    const size_t end = break_at(wire);
    if (position < end)
        return (ssize_t)copy(wire, position, room, size, end);
    if (wire->trouble.kind == TROUBLE_RESET_BODY)
        wire_reset(wire->connection);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static void wake(void *connection)
{
    MHD_resume_connection(connection);
}

static ssize_t read_drop(void *state, uint64_t position, char *room, size_t size)
{
    Wire *wire = state;
    const int64_t bytes = wire->trouble.bytes > 0 ? wire->trouble.bytes : DRIP_BYTES;
    if (!wire->rested && position > 0) {
        wire->rested = true;
        MHD_suspend_connection(wire->connection);
        if (!waiting_add(wire->waiting, trouble_ms(&wire->trouble, DRIP_MS) * US_PER_MS, wake,
                         wire->connection))
            return MHD_CONTENT_READER_END_WITH_ERROR;
        return 0;
    }
    wire->rested = false;
    return (ssize_t)copy(wire, position, room, size < (size_t)bytes ? size : (size_t)bytes,
                         wire->body.size);
}

static size_t wrong_bytes(const Wire *wire)
{
    return wire->trouble.bytes > 0 ? (size_t)wire->trouble.bytes : LENGTH_BYTES;
}

// Promises more than there is, and closes.
static ssize_t read_too_little(void *state, uint64_t position, char *room, size_t size)
{
    const Wire *wire = state;
    if (position >= wire->body.size)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    return (ssize_t)copy(wire, position, room, size, wire->body.size);
}

static size_t short_size(const Wire *wire)
{
    const size_t wrong = wrong_bytes(wire);
    return wire->body.size > wrong ? wire->body.size - wrong : 0;
}

void wire_sent(const Wire *wire)
{
    if (wire->trouble.kind != TROUBLE_LENGTH_SHORT)
        return;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(wire->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const Str rest = str_slice(wire->body, short_size(wire), SIZE_MAX);
    if (info != NULL) // what does not fit into the socket's buffer is not missed
        (void)send(info->connect_fd, rest.data, rest.size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool wire_is_bad(const Trouble *trouble)
{
    return trouble->kind == TROUBLE_DRIP || trouble->kind == TROUBLE_RESET_BODY ||
           trouble->kind == TROUBLE_TRUNCATE || trouble->kind == TROUBLE_LENGTH_SHORT ||
           trouble->kind == TROUBLE_LENGTH_LONG;
}

struct MHD_Response *wire_response(Wire *wire)
{
    const Str body = wire->body;
    if (wire->trouble.kind == TROUBLE_LENGTH_SHORT)
        return MHD_create_response_from_buffer(short_size(wire), (char *)(uintptr_t)body.data,
                                               MHD_RESPMEM_PERSISTENT);
    if (wire->trouble.kind == TROUBLE_LENGTH_LONG)
        return MHD_create_response_from_callback(body.size + wrong_bytes(wire), BLOCK_BYTES,
                                                 read_too_little, wire, NULL);
    const MHD_ContentReaderCallback read =
        wire->trouble.kind == TROUBLE_DRIP ? read_drop : read_until_break;
    return MHD_create_response_from_callback(body.size, BLOCK_BYTES, read, wire, NULL);
}
