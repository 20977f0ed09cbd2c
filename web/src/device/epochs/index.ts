/**
 * Epochs of rooms: who can read, by which key, from when to when (docs/protocol.md §6.4, §6.5). The rules are also those of
 * docs/client.md.
 *
 *     rules      what is decided without I/O
 *     answers    what the server answers
 *     keybook    keys out of the store, verified
 *     fetching   what is missing in the store
 *     making     the newest epoch, or the next one
 *     sharing    keys of earlier epochs, given and taken
 *     hearing    what entries mean for all of this
 *     sealing    `Sealing`: texts in and out
 *     upkeep     what goes on by itself
 */

export { check, SealedEpochs } from "./sealing";
