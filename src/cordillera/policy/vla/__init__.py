"""The vision-language-action model: observation -> reasoning text -> trajectory, one architecture for every size.

Modules without torch (shared with the embedded student): config, actions, tokenizer, grammar, prompt.
Modules with torch: layers, vision, text, expert, model, generate, stream, load, policy, export.
"""
