import tseslint from "typescript-eslint";

const SPOKEN = new Set(["aria-label", "aria-description", "title", "placeholder", "alt", "label"]);

/**
 * Every string that people read stands in a catalogue: no literal text in JSX.
 * @type {import("eslint").Rule.RuleModule}
 */
const noLiteralText = {
  meta: { type: "problem", messages: { literal: "Text stands in src/i18n, not in JSX." }, schema: [] },
  create(context) {
    const wordy = (/** @type {string} */ text) => /\p{L}/u.test(text);
    return {
      JSXText: (node) => wordy(node.value) && context.report({ node, messageId: "literal" }),
      "JSXElement > JSXExpressionContainer > Literal": (node) =>
        typeof node.value === "string" && wordy(node.value) && context.report({ node, messageId: "literal" }),
      JSXAttribute: (node) =>
        SPOKEN.has(node.name.name) &&
        node.value?.type === "Literal" &&
        wordy(String(node.value.value)) &&
        context.report({ node: node.value, messageId: "literal" }),
    };
  },
};

export default tseslint.config({ ignores: ["node_modules"] }, ...tseslint.configs.strict, {
  files: ["**/*.{ts,tsx}"],
  plugins: { house: { rules: { "no-literal-text": noLiteralText } } },
  rules: {
    "house/no-literal-text": "error",
    "@typescript-eslint/no-explicit-any": "error",
    "@typescript-eslint/no-non-null-assertion": "off", // index access after a length check
    "@typescript-eslint/no-extraneous-class": "off",
    "no-restricted-syntax": [
      "error",
      { selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']", message: "Text nodes only." },
      { selector: "AssignmentExpression[left.property.name=/^(inner|outer)HTML$/]", message: "Text nodes only." },
    ],
    "no-restricted-globals": ["error", "alert", "confirm", "prompt"],
  },
});
