"""The vision-language-action model: observation -> reasoning text -> trajectory, one architecture for every size.

Modules without torch (shared with the embedded student): config, layout, actions, tokenizer, grammar, prompt,
tables, reuse. Modules with torch: layers, vision, text, expert, model, generate, stream, targets, load, policy, export.
"""
