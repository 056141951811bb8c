/** Preloaded by `npm run layers`: the layer checker reads TypeScript by the compiler's library, which TypeScript 7 does not have yet, so it gets an older one. */
import { registerHooks } from 'node:module'

registerHooks({
  resolve: (specifier, context, next) => next(specifier.replace(/^typescript(?=$|\/)/, 'legacy-typescript'), context),
})
