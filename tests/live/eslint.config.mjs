// tests/live/node_modules/.bin/eslint -c tests/live/eslint.config.mjs src/live/page tests/live/browser.mjs

const BROWSER = [
  "AbortSignal", "EventSource", "Intl", "ResizeObserver", "URLSearchParams", "clearTimeout", "devicePixelRatio", "document", "fetch",
  "getComputedStyle", "history", "location", "matchMedia", "navigator", "performance", "requestAnimationFrame", "sessionStorage",
  "setInterval", "setTimeout", "uPlot", "window", "console", "process", "globalThis",
];

export default [
  {
    languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: Object.fromEntries(BROWSER.map((name) => [name, "readonly"])) },
    rules: {
      "no-undef": "error", "no-unused-vars": "error", "prefer-const": "error", eqeqeq: "error", "no-var": "error",
      "no-eval": "error", "no-implied-eval": "error", "no-shadow": "error", "no-use-before-define": ["error", { functions: false, classes: false, variables: false }],
      complexity: ["error", 20], "max-lines-per-function": ["error", 80], "max-lines": ["error", 320],
      "no-restricted-properties": ["error", ...["innerHTML", "outerHTML", "insertAdjacentHTML", "write"].map((property) => ({ property, message: "use element(): text from Kafka must stay text" }))],
    },
  },
];
