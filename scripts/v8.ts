/**
 * `node --import ./scripts/v8.ts ...`: what V8 is told before anything else runs.
 *
 * - It keeps what it compiled, and TypeScript without its types, for the next start, which so takes a third less. In our
 *   own folder: whoever can write to the cache chooses what runs. Where the folder can not be written to, as in a
 *   container, nothing is kept.
 * - It does not put objects among the old ones at once because others from the same line of code grew old in a burst
 *   ("allocation site pretenuring"). After the burst such objects, long dead, keep whatever they refer to until the next
 *   major collection, and each minor one takes ten milliseconds: see docs/performance.md, "What V8 kept".
 */
import { enableCompileCache } from "node:module";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";

setFlagsFromString("--no-allocation-site-pretenuring");
enableCompileCache(join(import.meta.dirname, "../node_modules/.cache/notemesh"));
