/* origin: what the front end keeps of the message a graph was read from, behind the `origin` pointers of the IR, so
 * that writing gives back what the IR does not hold. Private to the front end.
 *
 * A node's origin is its NodeProto. Copies of a graph share all of it; nobody changes it after reading. */
#ifndef ORIGIN_H
#define ORIGIN_H

#include "ir.h"
#include "onnx.pb-c.h"

struct model_origin { /* of a graph */
    const Onnx__ModelProto *message;
    size_t n_bodies, cap_bodies;
    const Onnx__GraphProto **bodies; /* by body id; NULL inside functions */
};

struct declared { /* a type as the file gives it */
    enum type_kind kind;
    enum dtype dtype;
    int32_t rank;
    const dim *dims;
};

struct tensor_origin { /* of a tensor; any of the messages may be missing */
    const Onnx__TensorProto *dense;
    const Onnx__SparseTensorProto *sparse;
    const Onnx__ValueInfoProto *input, *output, *hint; /* hint: an entry of value_info */
    struct declared type;                              /* as of reading, what the IR was given */
};

static inline const char *text_or(const char *text, const char *otherwise) {
    return text ? text : otherwise;
}

/* The default domain has two spellings. */
static inline const char *domain_of(const char *text) {
    return !text || (text[0] == 'a' && text[1] == 'i' && text[2] == '.' && text[3] == 'o' && text[4] == 'n' &&
                     text[5] == 'n' && text[6] == 'x' && text[7] == 0)
               ? ""
               : text;
}

#endif
