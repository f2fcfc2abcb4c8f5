/* restore: data back into messages. Private to the front end. */
#ifndef RESTORE_H
#define RESTORE_H

#include "wire.h"

/* Makes a TensorProto hold the data (of that type); without bytes, none. What it points at must outlive it. */
void restore_data(Onnx__TensorProto *, const struct data *, enum dtype, struct arena *);
/* Gives every tensor below a decoded message its payload again. */
void restore_message(const struct slim *, ProtobufCMessage *, struct arena *);

#endif
